# SPDX-License-Identifier: Apache-2.0
"""Idle hosts send what idle agents send, each of them once an interval."""

import itertools
import threading
from collections import Counter

from lab.parts.processes import wait_for
from migprog.core.messages import Batch
from migprog.loadtest.idle import Beats, make_sender
from migprog.loadtest.plan import IdleShare, Load
from migprog.rpc.conductor import Unreachable

LOAD = Load(hosts=0, per_host=1, interval_seconds=1.0, heartbeat_seconds=1.0, idle_hosts=10)
_SECONDS = 60


class Conductor:
    """Takes heartbeats, or fails."""

    def __init__(self):
        self.batches, self.fails = [], False

    def report(self, batch, acknowledged):
        if self.fails:
            raise Unreachable("away")
        assert not acknowledged
        self.batches.append(Batch.from_wire(batch)[0])


def beating(conductor, count):
    """The heartbeats of so many idle hosts, and the thread that will send them."""
    beats = Beats([make_sender(str(n), conductor, LOAD) for n in range(count)], 1.0)
    return beats, threading.Thread(target=beats.run, daemon=True)


def test_each_idle_host_beats_again_and_again_and_sends_nothing_else():
    conductor = Conductor()
    beats, thread = beating(conductor, 10)
    thread.start()
    hosts = [str(n) for n in range(10)]

    def beats_of_each():
        return Counter(batch.host for batch in list(conductor.batches))

    wait_for(lambda: all(beats_of_each()[each] >= 2 for each in hosts), _SECONDS, "two of each")
    beats.end()
    thread.join()
    assert set(beats_of_each()) == set(hosts)
    assert not any(batch.reports or batch.arrivals for batch in conductor.batches)
    agent = conductor.batches[0].agent
    assert (agent.heartbeat_interval_seconds, agent.migrations, agent.servers) == (1.0, 0, 24)
    counted = beats.counted()
    assert (counted["sent"], counted["failed"]) == (len(conductor.batches), 0)
    assert len(counted["late"]) == len(conductor.batches) and min(counted["late"]) >= 0
    assert beats.counted()["late"] == []


def test_heartbeat_that_fails_is_sent_again():
    conductor = Conductor()
    conductor.fails = True
    beats, thread = beating(conductor, 1)
    thread.start()
    counts = iter(beats.counted, None)
    wait_for(lambda: next(counts)["failed"], _SECONDS, "a heartbeat that fails")
    conductor.fails = False
    wait_for(lambda: conductor.batches, _SECONDS, "the next one")
    beats.end()
    thread.join()


def test_shares_have_each_idle_host_once():
    shares = [
        IdleShare(load=LOAD, run="x", first=first, step=3, config_files=("f",))
        for first in range(3)
    ]
    assert [IdleShare.from_json(share.to_json()) for share in shares] == shares
    names = list(itertools.chain(*(share.host_names for share in shares)))
    assert len(names) == len(set(names)) == 10
    assert all(name.startswith("loadtest-x-idle-") for name in names)


def test_warm_up_lasts_until_each_idle_host_has_sent_a_heartbeat():
    assert LOAD.warm_up_seconds == 1.0
    both = Load(hosts=1, per_host=1, interval_seconds=1.0, heartbeat_seconds=30.0, idle_hosts=1)
    assert both.warm_up_seconds == 30.0

# SPDX-License-Identifier: Apache-2.0
"""Several conductors on one broker and database: what one of them has in hand when it is killed."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from lab.parts import broker, processes
from migprog import conf, objects, rpc
from migprog.core.messages import Ack, Batch
from migprog.loadtest import conductors
from migprog.rpc.conductor import TOPIC, ConductorAPI
from migprog.tests import stores

pytestmark = pytest.mark.functional
_SECONDS = 120
_CALLS = 12


@pytest.fixture
def own_broker():
    with broker.rabbitmq() as running:
        yield running


def _in_queue(running, column):
    """A figure of the conductors' queue, by rabbitmqctl's name of it; 0 if there is none yet."""
    done = subprocess.run(
        ["rabbitmqctl", "list_queues", "--quiet", "--formatter=json", "name", column],
        env=running.environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return {each["name"]: each[column] for each in json.loads(done.stdout)}.get(TOPIC, 0)


def test_others_take_what_a_killed_conductor_has_not_received(own_broker, mariadb, tmp_path):
    """The broker has delivered it to the conductor's connection, and gets no acknowledgement."""
    stores.ready(mariadb).close()
    config_file = tmp_path / "migprog.conf"
    config_file.write_text(
        f"[DEFAULT]\ntransport_url = {own_broker.url}\n[database]\nconnection = {mariadb}\n"
    )
    transport = rpc.transport(conf.load(["--config-file", str(config_file)], "test"))
    now = time.time()
    batches = [
        Batch(f"host-{n}", "node", reports=(stores.report(started_at=now, sampled_at=now),))
        for n in range(_CALLS)
    ]
    with (
        conductors.started(2, [str(config_file)], tmp_path) as running,
        ThreadPoolExecutor(_CALLS) as senders,
    ):
        first, _second = (each.usage for each in running.children)
        # No call is repeated: each is answered, or lost.
        apis = [ConductorAPI(transport, _SECONDS) for _ in batches]

        def send(number):
            return apis[number].report(batches[number].to_wire(), acknowledged=True)

        # A message without a queue to go to would be dropped.
        processes.wait_for(
            lambda: _in_queue(own_broker, "consumers") == 2, _SECONDS, "both conductors"
        )
        os.kill(first.pid, signal.SIGSTOP)
        calls = [senders.submit(send, number) for number in range(_CALLS)]
        processes.wait_for(
            lambda: _in_queue(own_broker, "messages_unacknowledged") > 0,
            _SECONDS,
            "messages at the stopped conductor",
        )
        assert not all(call.done() for call in calls)
        os.kill(first.pid, signal.SIGKILL)
        assert not wait(calls, _SECONDS).not_done
        assert [Ack.from_wire(call.result()).refused for call in calls] == [{}] * _CALLS
    transport.cleanup()
    store = stores.connect(mariadb)
    reported = {batch.reports[0].uuid for batch in batches}
    assert {each.uuid for each in objects.Migration.list(store, limit=100)} == reported
    store.close()

# SPDX-License-Identifier: Apache-2.0
"""Several conductors on one broker and database: what one of them has in hand when it is killed."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import sqlalchemy as sa

from lab.parts import broker, processes
from migprog import conf, objects, rpc
from migprog.core.messages import Ack, Batch
from migprog.loadtest import conductors
from migprog.rpc.conductor import TOPIC, ConductorAPI, Unreachable
from migprog.tests import stores

pytestmark = pytest.mark.functional
_SECONDS = 120
_CALLS = 12
# Arguments: the backend, which is also the queue's name, and a configuration file.
_STOPS_WITH_A_CALL_IN_HAND = """
import sys, threading
from migprog import concurrency

name, config_file = sys.argv[1:]
concurrency.choose(name)

import oslo_messaging
from migprog import conf, context, rpc

begun, go = threading.Event(), threading.Event()

class Endpoint:
    target = oslo_messaging.Target(version="1.0")
    def report(self, ctxt):
        begun.set()
        go.wait()

transport = rpc.transport(conf.load(["--config-file", config_file], "test"))
server = rpc.server(transport, name, "host", [Endpoint()], may_repeat=True)
server.start()
call = rpc.client(transport, name, "1.0", 60).call
calling = threading.Thread(target=call, args=(context.for_service(), "report"))
calling.start()
begun.wait()
server.stop()
go.set()
calling.join()
server.wait()
transport.cleanup()
"""


@pytest.fixture
def own_broker():
    with broker.rabbitmq() as running:
        yield running


def _in_queue(running, column, queue=TOPIC):
    """A figure of a queue, by rabbitmqctl's name of it; 0 if there is none yet."""
    done = subprocess.run(
        ["rabbitmqctl", "list_queues", "--quiet", "--formatter=json", "name", column],
        env=running.environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return {each["name"]: each[column] for each in json.loads(done.stdout)}.get(queue, 0)


def _configured(running, mariadb, tmp_path):
    """A configuration file for this broker and database, with tables; a transport of it."""
    stores.ready(mariadb).close()
    config_file = tmp_path / "migprog.conf"
    config_file.write_text(
        f"[DEFAULT]\ntransport_url = {running.url}\n[database]\nconnection = {mariadb}\n"
    )
    return config_file, rpc.transport(conf.load(["--config-file", str(config_file)], "test"))


def _batches():
    now = time.time()
    return [
        Batch(f"host-{n}", "node", reports=(stores.report(started_at=now, sampled_at=now),))
        for n in range(_CALLS)
    ]


def _stored(mariadb, batches):
    """The sequence number of each of the batches' migrations by its UUID."""
    uuids = {batch.reports[0].uuid for batch in batches}
    store = stores.connect(mariadb)
    found = objects.Migration.list(store, limit=1000)
    store.close()
    return {each.uuid: each.sequence for each in found if each.uuid in uuids}


def test_others_take_what_a_killed_conductor_has_not_received(own_broker, mariadb, tmp_path):
    """The broker has delivered it to the conductor's connection, and gets no acknowledgement."""
    config_file, transport = _configured(own_broker, mariadb, tmp_path)
    batches = _batches()
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
    assert len(_stored(mariadb, batches)) == _CALLS


class _Host:
    """An agent as the conductors see it: one migration's reports, one after the other."""

    def __init__(self, transport, batch):
        self._api = ConductorAPI(transport, _SECONDS)
        self._batch = batch
        self.report = batch.reports[0]

    def call(self):
        """Report until a conductor answers. A call that no conductor answers is lost."""
        while True:
            try:
                return self._send(acknowledged=True)
            except Unreachable as error:
                if error.is_silence:
                    raise
                # The database was locked for too long: the answer says so.

    def cast(self):
        self._send(acknowledged=False)

    def _send(self, acknowledged):
        self.report = stores.later(self.report)
        batch = dataclasses.replace(self._batch, reports=(self.report,))
        return self._api.report(batch.to_wire(), acknowledged)


@contextlib.contextmanager
def _locked(mariadb):
    """Lock the table of migrations until the block ends."""
    engine = sa.create_engine(mariadb)
    with engine.connect() as connection:
        connection.execute(sa.text("LOCK TABLES migrations WRITE"))
        yield
        connection.execute(sa.text("UNLOCK TABLES"))
    engine.dispose()


def test_others_take_what_a_killed_conductor_has_received_and_not_stored(
    own_broker, mariadb, tmp_path
):
    config_file, transport = _configured(own_broker, mariadb, tmp_path)
    batches = _batches()
    hosts = [_Host(transport, batch) for batch in batches]
    with (
        conductors.started(2, [str(config_file)], tmp_path) as running,
        ThreadPoolExecutor(_CALLS) as senders,
    ):
        first = conductors.Conductors((), metrics_ports=running.metrics_ports[:1])
        processes.wait_for(
            lambda: _in_queue(own_broker, "consumers") == 2, _SECONDS, "both conductors"
        )
        assert not wait([senders.submit(each.call) for each in hosts], _SECONDS).not_done
        with _locked(mariadb):
            calls = [senders.submit(each.call) for each in hosts]
            processes.wait_for(
                lambda: first.counted()["migprog_oldest_unstored_report_age_seconds"] > 0,
                _SECONDS,
                "a report in the first conductor",
            )
            os.kill(running.children[0].usage.pid, signal.SIGKILL)
        assert not wait(calls, _SECONDS).not_done
        assert [Ack.from_wire(call.result()).refused for call in calls] == [{}] * _CALLS
        assert _stored(mariadb, batches) == {
            each.report.uuid: each.report.sequence for each in hosts
        }
        # Of progress nothing waits for an answer; what was lost with the conductor is replaced.
        for each in hosts:
            each.cast()
        reported = {each.report.uuid: each.report.sequence for each in hosts}
        processes.wait_for(
            lambda: _stored(mariadb, batches) == reported, _SECONDS, "the figures to be the latest"
        )
    transport.cleanup()


@pytest.mark.parametrize("concurrency", ["eventlet", "threading"])
def test_call_that_is_answered_during_a_stop_is_not_delivered_again(
    rabbitmq_broker, tmp_path, concurrency
):
    config_file = tmp_path / "migprog.conf"
    config_file.write_text(f"[DEFAULT]\ntransport_url = {rabbitmq_broker.url}\n")
    subprocess.run(
        [sys.executable, "-c", _STOPS_WITH_A_CALL_IN_HAND, concurrency, str(config_file)],
        check=True,
        timeout=_SECONDS,
    )
    assert _in_queue(rabbitmq_broker, "consumers", concurrency) == 0
    assert _in_queue(rabbitmq_broker, "messages", concurrency) == 0

# SPDX-License-Identifier: Apache-2.0
"""The broker: a real one, behind a relay."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib import parse

import kombu
from oslo_config import cfg

from lab.faults.relay import Relay
from lab.parts import processes
from migprog import objects, rpc
from migprog.conductor.batcher import ReportBatcher
from migprog.conductor.endpoint import ConductorEndpoint
from migprog.conductor.storing import StoreBatches
from migprog.core.messages import Ack, Batch
from migprog.rpc.conductor import TOPIC as CONDUCTOR_TOPIC
from migprog.rpc.conductor import ConductorAPI, Unreachable
from migprog.tests import stores
from migprog.tests.functional.parties.table import SHORT, cell


def batch() -> Batch:
    return Batch(host="h", node="n", reports=(stores.report(),))


@dataclass(frozen=True)
class Broker:
    """A broker behind ``relay``; ``url`` goes past that."""

    url: str
    relay: Relay
    process_group: int

    def through(self, port: int | None = None) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{port or self.relay.port}/"

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While the block lasts the broker says nothing to anybody; its host takes connections."""
        group = self.process_group
        os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(group, signal.SIGCONT)


@contextlib.contextmanager
def broker(url: str, process_group: int) -> Iterator[Broker]:
    """The broker at ``url`` behind a relay."""
    port = parse.urlsplit(url).port
    assert port is not None
    with Relay(port) as relay:
        yield Broker(url, relay, process_group)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """A transport to the broker there."""
    # oslo.messaging (18.3) takes no other.
    cfg.CONF([], default_config_files=[], default_config_dirs=[])
    transport = rpc.transport(cfg.CONF, url)
    try:
        yield transport
    finally:
        # A broker that does not answer is not told that we go.
        threading.Thread(target=transport.cleanup, daemon=True).start()


def takes_no_report(transport: Any) -> None:
    api = ConductorAPI(transport, SHORT.rpc)
    try:
        api.report(batch().to_wire(), acknowledged=True)
    except Unreachable:
        return
    raise AssertionError("the report was taken")


@contextlib.contextmanager
def conductor(url: str, store_batches: StoreBatches) -> Iterator[None]:
    """A conductor at the broker that stores by ``store_batches``."""
    intake = ReportBatcher(store_batches)
    intake.start()
    with connected(url) as transport:
        manager = ConductorEndpoint(intake)
        server = rpc.server(transport, CONDUCTOR_TOPIC, "conductor", [manager])
        server.start()
        try:
            yield
        finally:
            server.stop()
            server.wait()
            intake.stop()


def stored_at_once(heard: Sequence[objects.ReceivedBatch]) -> list[objects.Stored]:
    return [objects.Stored(Ack()) for _ in heard]


_KEEPS = "keeps unacknowledged reports, goes on watching, and sends them again"
_WAITS = "keeps unacknowledged reports, goes on watching, and sends them when the broker is back"
# oslo.messaging waits longer and longer between two attempts, up to so much.
RECONNECTS_SECONDS = 30.0


def is_taken_when(mended: Callable[[], None], transport: Any) -> None:
    api = ConductorAPI(transport, 60)
    taken = threading.Event()

    def report() -> None:
        api.report(batch().to_wire(), acknowledged=True)
        taken.set()

    threading.Thread(target=report, daemon=True).start()
    assert not taken.wait(1)
    mended()
    assert taken.wait(60)


@cell("broker", "away", "agent", _WAITS, lambda t: RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    broker.relay.cut()
    with conductor(broker.url, stored_at_once), connected(broker.through()) as transport:
        is_taken_when(lambda: broker.relay.mend(forgotten=True), transport)


@cell("broker", "refuses", "agent", _WAITS, lambda t: RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    (port,) = processes.free_ports(1)
    broker.relay.redirect(port)
    real = int(broker.url.rstrip("/").rpartition(":")[2])
    with conductor(broker.url, stored_at_once), connected(broker.through()) as transport:
        is_taken_when(lambda: broker.relay.redirect(real), transport)


# Its connections for calls and for answers are opened anew, by kombu's 5 s each.
@cell("broker", "silent", "agent", _KEEPS, lambda t: t.rpc + 15)
def _(broker: Broker) -> None:
    with (
        conductor(broker.url, stored_at_once),
        connected(broker.through()) as transport,
    ):
        ConductorAPI(transport, 30).report(batch().to_wire(), acknowledged=True)
        broker.relay.cut()
        takes_no_report(transport)


@cell(
    *("broker", "silent to all", "agent"),
    _KEEPS,
    lambda t: t.rpc + RECONNECTS_SECONDS,
    long=True,
)
def _(broker: Broker) -> None:
    with (
        conductor(broker.url, stored_at_once),
        connected(broker.url) as transport,
    ):
        ConductorAPI(transport, 30).report(batch().to_wire(), acknowledged=True)
        with broker.stopped():
            takes_no_report(transport)
        ConductorAPI(transport, 60).report(batch().to_wire(), acknowledged=True)


@cell("broker", "slow", "agent", _KEEPS + "; raises the report interval", lambda t: t.rpc)
def _(broker: Broker) -> None:
    go = threading.Event()

    def late(heard: Sequence[objects.ReceivedBatch]) -> list[objects.Stored]:
        go.wait(60)
        return stored_at_once(heard)

    with conductor(broker.url, late), connected(broker.through()) as transport:
        try:
            takes_no_report(transport)
        finally:
            go.set()


@cell(
    *("broker", "client silent", "conductor"),
    (
        "answers others at once; tries for 10 s to send an answer to a reply queue that "
        "does not exist, at most 200 at a time"
    ),
    lambda t: 0.0,
)
def _(broker: Broker) -> None:
    with (
        conductor(broker.url, stored_at_once),
        connected(broker.url) as transport,
        kombu.Connection(broker.url.replace("rabbit:", "amqp:")) as connection,
    ):
        api = ConductorAPI(transport, 60)
        api.report(batch().to_wire(), acknowledged=True)
        exchange = kombu.Exchange("openstack", "topic", durable=False, passive=True)
        producer = kombu.Producer(connection.channel())
        for number in range(400):
            call = {
                "method": "report",
                "args": {"batch": batch().to_wire()},
                "version": "1.0",
                "_msg_id": str(number),
                "_unique_id": str(number),
                "_reply_q": f"nobody-{number % 7}",
            }
            producer.publish(
                json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(call)}),
                exchange=exchange,
                routing_key=CONDUCTOR_TOPIC,
                content_type="application/json",
                content_encoding="utf-8",
            )
        api.report(batch().to_wire(), acknowledged=True)

# SPDX-License-Identifier: Apache-2.0
"""The broker, to a conductor that alone is cut off: agents still reach it."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg

from lab.parts import processes
from migprog.rpc.conductor import ConductorAPI
from migprog.tests.functional.parties.broker import (
    RECONNECTS_SECONDS,
    Broker,
    batch,
    conductor,
    connected,
    is_taken_when,
    stored_at_once,
    takes_no_report,
)
from migprog.tests.functional.parties.table import SHORT, cell

_GOES_ON = "stores nothing; takes reports again when the broker is back"


@contextlib.contextmanager
def _agent(broker: Broker) -> Iterator[Any]:
    """An agent's transport past the relay, once a conductor behind that has taken a report."""
    with conductor(broker.through(), stored_at_once), connected(broker.url) as transport:
        ConductorAPI(transport, 30).report(batch().to_wire(), acknowledged=True)
        yield transport


@cell("broker", "away", "conductor", _GOES_ON, lambda t: RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    with _agent(broker) as transport:
        broker.relay.cut()
        broker.relay.forget()
        takes_no_report(transport)
        is_taken_when(lambda: broker.relay.mend(forgotten=True), transport)


@cell("broker", "refuses", "conductor", _GOES_ON, lambda t: RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    (port,) = processes.free_ports(1)
    real = int(broker.url.rstrip("/").rpartition(":")[2])
    with _agent(broker) as transport:
        broker.relay.redirect(port)
        broker.relay.forget()
        takes_no_report(transport)
        is_taken_when(lambda: broker.relay.redirect(real), transport)


@contextlib.contextmanager
def heartbeat(seconds: int) -> Iterator[None]:
    """Connections made meanwhile are given up when they were silent for so long."""
    name, group = "heartbeat_timeout_threshold", "oslo_messaging_rabbit"
    cfg.CONF.set_override(name, seconds, group)
    try:
        yield
    finally:
        cfg.CONF.clear_override(name, group)


@cell(
    *("broker", "silent", "conductor"),
    "closes the silent connections, and takes reports by new ones",
    lambda t: 2 * t.heartbeat + RECONNECTS_SECONDS,
    long=True,
)
def _(broker: Broker) -> None:
    with connected(broker.url):
        # The group of these options is there from now on.
        pass
    with heartbeat(int(SHORT.heartbeat)), _agent(broker) as transport:
        # New connections work, as with a broker whose address another one has taken over.
        broker.relay.silence()
        is_taken_when(lambda: None, transport)


@cell(
    *("broker", "silent to all", "conductor"),
    _GOES_ON,
    lambda t: 2 * t.heartbeat + RECONNECTS_SECONDS,
    long=True,
)
def _(broker: Broker) -> None:
    with connected(broker.url):
        pass
    with heartbeat(int(SHORT.heartbeat)), _agent(broker) as transport:
        silent_seconds = 2 * SHORT.heartbeat + SHORT.rpc
        with broker.stopped():
            # Its old connections are given up, and new ones are not answered.
            give_up_at = time.monotonic() + silent_seconds
            while time.monotonic() < give_up_at:
                takes_no_report(transport)
        ConductorAPI(transport, 60).report(batch().to_wire(), acknowledged=True)


@cell(
    *("broker", "slow", "conductor"),
    "stores reports as they are received",
    lambda t: t.rpc,
)
def _(broker: Broker) -> None:
    with _agent(broker) as transport:
        broker.relay.delay(0.2)
        ConductorAPI(transport, 60).report(batch().to_wire(), acknowledged=True)
        broker.relay.delay(0)
        broker.relay.cut()
        is_taken_when(lambda: broker.relay.mend(forgotten=False), transport)

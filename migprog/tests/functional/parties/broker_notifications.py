# SPDX-License-Identifier: Apache-2.0
"""The broker of notifications, to a conductor whose reports come by a broker that works."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import oslo_messaging as messaging
from oslo_config import cfg

from lab.parts import processes
from migprog import notifications
from migprog.conductor.storing import make_store_batches
from migprog.conf import notifications as notifications_conf
from migprog.metrics import REGISTRY
from migprog.rpc.conductor import ConductorAPI
from migprog.tests import stores
from migprog.tests.functional.parties.broker import (
    RECONNECTS_SECONDS,
    Broker,
    batch,
    conductor,
    connected,
)
from migprog.tests.functional.parties.broker_conductor import heartbeat
from migprog.tests.functional.parties.table import SHORT, cell

_AS_USUAL = (
    "stores reports as usual; keeps notifications for 300 s, 5,000 at most, and sends them when "
    "the broker is back"
)
_PARTY = "broker of notifications"
_GROUP = "oslo_messaging_notifications"


@contextlib.contextmanager
def _notifying(broker: Broker) -> Iterator[Any]:
    """An agent's transport to a conductor that notifies past the relay."""
    with contextlib.ExitStack() as stack:
        transport = stack.enter_context(connected(broker.url))
        notifications_conf.register_opts(cfg.CONF)
        cfg.CONF.set_override("enabled", True, "notifications")
        stack.callback(cfg.CONF.clear_override, "enabled", "notifications")
        # Registers the group.
        messaging.get_notification_transport(cfg.CONF, broker.url).cleanup()
        cfg.CONF.set_override("transport_url", broker.through(), _GROUP)
        stack.callback(cfg.CONF.clear_override, "transport_url", _GROUP)
        sender = notifications.make_sender(cfg.CONF, "conductor")
        assert sender is not None
        stack.callback(sender.stop)
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stores.ready(f"sqlite:///{directory}/migprog.sqlite")
        stack.callback(store.close)
        stack.enter_context(conductor(broker.url, make_store_batches(store, notify=sender.put)))
        yield transport


def _sent() -> float:
    labels = {"event": "start", "outcome": "sent"}
    return REGISTRY.get_sample_value("migprog_notifications_total", labels) or 0.0


def _stores(transport: Any) -> None:
    ConductorAPI(transport, 30).report(batch().to_wire(), acknowledged=True)


def _all_are_sent(count: float, seconds: float = RECONNECTS_SECONDS) -> None:
    processes.wait_for(lambda: _sent() >= count, seconds, "the notifications")


@cell(_PARTY, "away", "conductor", _AS_USUAL, lambda t: RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    before = _sent()
    with _notifying(broker) as transport:
        _stores(transport)
        _all_are_sent(before + 1)
        broker.relay.cut()
        broker.relay.forget()
        _stores(transport)
        _stores(transport)
        broker.relay.mend(forgotten=True)
        _all_are_sent(before + 3)


@cell(_PARTY, "refuses", "conductor", _AS_USUAL, lambda t: RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    (port,) = processes.free_ports(1)
    before = _sent()
    real = int(broker.url.rstrip("/").rpartition(":")[2])
    broker.relay.redirect(port)
    with _notifying(broker) as transport:
        _stores(transport)
        broker.relay.redirect(real)
        _all_are_sent(before + 1)


@cell(
    *(_PARTY, "silent", "conductor"),
    _AS_USUAL,
    lambda t: 2 * t.heartbeat + RECONNECTS_SECONDS,
    long=True,
)
def _(broker: Broker) -> None:
    with connected(broker.url):
        # The group of these options is there from now on.
        pass
    before = _sent()
    with heartbeat(int(SHORT.heartbeat)), _notifying(broker) as transport:
        _stores(transport)
        _all_are_sent(before + 1)
        # New connections work.
        broker.relay.silence()
        _stores(transport)
        _stores(transport)
        _all_are_sent(before + 3, 2 * SHORT.heartbeat + RECONNECTS_SECONDS)


@cell(_PARTY, "slow", "conductor", _AS_USUAL, lambda t: 10.0)
def _(broker: Broker) -> None:
    before = _sent()
    broker.relay.delay(0.2)
    with _notifying(broker) as transport:
        _stores(transport)
        _all_are_sent(before + 1)

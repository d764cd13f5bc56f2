# SPDX-License-Identifier: Apache-2.0
"""The broker, to the API that asks an agent to do something."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging as messaging

from lab.parts import processes
from migprog import context, rpc
from migprog.core.actions import Action, Target
from migprog.core.agent_answer import Answer
from migprog.rpc import compute
from migprog.rpc.compute import ComputeAPI, Unanswered
from migprog.tests import stores
from migprog.tests.functional.parties.broker import Broker, connected
from migprog.tests.functional.parties.table import cell

_HOST = "an-agent"
_NO_ACTION = "503: the agent does not answer"


def _ask(transport: Any) -> Answer:
    target = Target(uuid=stores.report().uuid, server_uuid=stores.report().server_uuid)
    return ComputeAPI(transport).ask(context.for_service(), _HOST, Action.ABORT, target)


def _acts_not(transport: Any) -> None:
    try:
        _ask(transport)
    except Unanswered:
        return
    raise AssertionError("somebody has answered")


class _Endpoint:
    """An agent that does what it is asked to as soon as ``until`` returns."""

    target = messaging.Target(version=compute.VERSION)

    def __init__(self, until: Callable[[], Any]) -> None:
        self._until = until

    def abort(self, _ctxt: Any, **_what: Any) -> dict[str, Any]:
        self._until()
        return Answer().to_wire()


@contextlib.contextmanager
def _agent(url: str, until: Callable[[], Any] = lambda: None) -> Iterator[None]:
    with connected(url) as transport:
        server = rpc.server(transport, compute.TOPIC, _HOST, [_Endpoint(until)])
        server.start()
        try:
            yield
        finally:
            server.stop()
            server.wait()


@cell("broker", "away", "API, an action", _NO_ACTION, lambda t: t.action + 1)
def _(broker: Broker) -> None:
    broker.relay.cut()
    with _agent(broker.url), connected(broker.through()) as transport:
        _acts_not(transport)


@cell("broker", "refuses", "API, an action", _NO_ACTION, lambda t: t.action + 1)
def _(broker: Broker) -> None:
    (port,) = processes.free_ports(1)
    with connected(broker.through(port)) as transport:
        _acts_not(transport)


@cell("broker", "silent", "API, an action", _NO_ACTION, lambda t: t.action + 1, long=True)
def _(broker: Broker) -> None:
    with _agent(broker.url), connected(broker.through()) as transport:
        assert _ask(transport).refused is None
        broker.relay.cut()
        _acts_not(transport)


@cell(
    *("broker", "slow", "API, an action"),
    _NO_ACTION + "; the action may still be carried out",
    lambda t: t.action + 1,
)
def _(broker: Broker) -> None:
    asked, go = threading.Event(), threading.Event()

    def until() -> None:
        asked.set()
        go.wait(60)

    with _agent(broker.url, until), connected(broker.url) as transport:
        try:
            _acts_not(transport)
            assert asked.is_set()
        finally:
            go.set()

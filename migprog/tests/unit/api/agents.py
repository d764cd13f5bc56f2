# SPDX-License-Identifier: Apache-2.0
"""An API whose agents measure servers and carry actions out, or do not answer."""

from typing import Any

from falcon import testing

from migprog import objects
from migprog.api import action_requests, app
from migprog.api.measuring import ByAgents
from migprog.core import actions
from migprog.core.actions import Action
from migprog.core.agent_answer import Answer
from migprog.core.measurement import Target
from migprog.rpc import compute
from migprog.tests.unit.api.conftest import client_of, configuration


class Agents:
    """Answers as an agent would, or does not; notes what it was asked, and of which host."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer
        self.noted: list[Any] = []

    def ask(self, ctxt: Any, host: str, action: Action, target: actions.Target) -> Answer:
        return self._answered((ctxt, host, action, target))

    def measure(self, ctxt: Any, host: str, target: Target) -> Answer:
        return self._answered((ctxt, host, target))

    def measure_all(self, _ctxt: Any, host: str) -> Answer:
        return self._answered(host)

    def _answered(self, asked: Any) -> Answer:
        self.noted.append(asked)
        if self._answer is None:
            raise compute.Unanswered("MessagingTimeout: rack7")
        return self._answer


def acting(store: objects.Store, connection: str, agents: Agents) -> testing.TestClient:
    parts = action_requests.ByAgents(store, agents)
    return client_of(app.create(configuration(connection), store, actions=parts))


def measuring(store: objects.Store, connection: str, agents: Agents) -> testing.TestClient:
    parts = ByAgents(store, agents)
    return client_of(app.create(configuration(connection), store, measuring=parts))

# SPDX-License-Identifier: Apache-2.0
"""The client of the agents' remote methods; :mod:`migprog.compute.endpoint` is the server.

History:
    1.0 - abort, force_complete
    1.1 - measure
    1.2 - measure_all

For what raises the version see :mod:`migprog.rpc.conductor`.
"""

from typing import Any

import oslo_messaging as messaging

from migprog import exception, rpc
from migprog.core import measurement
from migprog.core.actions import Action, Refusal, Target
from migprog.core.agent_answer import Answer
from migprog.deadline import DeadlineRunner
from migprog.rpc import brokers

TOPIC = "migprog-compute"
VERSION = "1.2"
# An agent that has no result by then answers that the action is in progress.
ANSWER_SECONDS = 4.0
# The broker drops a call that no agent has received by then: it must not be done later.
CALL_TIMEOUT_SECONDS = 8.0
# Each call occupies a thread of the API while it waits.
_MOST_CALLS = 8


class Unanswered(exception.MigprogError):
    """No agent answered: the broker or the agent is away. The action may still be carried out."""


class ComputeAPI:
    """Client side of :class:`migprog.compute.endpoint.Endpoint`."""

    def __init__(self, transport: messaging.Transport) -> None:
        self._client = rpc.client(transport, TOPIC, VERSION, CALL_TIMEOUT_SECONDS)
        self._calls = DeadlineRunner(_MOST_CALLS)

    def ask(self, ctxt: Any, host: str, action: Action, target: Target) -> Answer:
        """Call the agent of a compute host. Raises :class:`Unanswered`."""
        answer = self._call(ctxt, host, "1.0", action.value, migration=target.to_wire())
        return Answer.from_wire(answer, Refusal)

    def measure(self, ctxt: Any, host: str, target: measurement.Target) -> Answer:
        """Have the agent of a compute host measure a server. Raises :class:`Unanswered`."""
        answer = self._call(ctxt, host, "1.1", "measure", server=target.to_wire())
        return Answer.from_wire(answer, measurement.Failure)

    def measure_all(self, ctxt: Any, host: str) -> Answer:
        """Have the agent of a compute host measure each server that runs there, one after the
        other. Raises :class:`Unanswered`."""
        answer = self._call(ctxt, host, "1.2", "measure_all")
        return Answer.from_wire(answer, measurement.Failure)

    def _call(self, ctxt: Any, host: str, version: str, method: str, **arguments: Any) -> Any:
        client = self._client.prepare(server=host, version=version)
        try:
            return self._calls.run(
                lambda: client.call(ctxt, method, **arguments), CALL_TIMEOUT_SECONDS + 1
            )
        except brokers.ERRORS as error:
            raise Unanswered(brokers.cause(error, "the agent").text) from error

# SPDX-License-Identifier: Apache-2.0
"""The client of the agents' remote methods; :mod:`migprog.compute.endpoint` is the server.

History:
    1.0 - abort, force_complete

For what raises the version see :mod:`migprog.rpc.conductor`.
"""

from typing import Any

import oslo_messaging as messaging

from migprog import exception, rpc
from migprog.core.actions import Action, Answer, Target
from migprog.deadline import DeadlineRunner
from migprog.rpc import brokers

TOPIC = "migprog-compute"
VERSION = "1.0"
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
        client = self._client.prepare(server=host, version="1.0")
        try:
            answer = self._calls.run(
                lambda: client.call(ctxt, action.value, migration=target.to_wire()),
                CALL_TIMEOUT_SECONDS + 1,
            )
            return Answer.from_wire(answer)
        except brokers.ERRORS as error:
            raise Unanswered(brokers.cause(error, "the agent").text) from error

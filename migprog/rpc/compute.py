# SPDX-License-Identifier: Apache-2.0
"""An agent's remote methods, as those who call them see them; ``endpoint.py`` is the other end.

History:
    1.0 - abort, force_complete

What raises the version, and what does not: as in :mod:`migprog.rpc.conductor`.
"""

from typing import Any

import oslo_messaging as messaging

from migprog import exception, rpc
from migprog.bounded import Bounded
from migprog.core.actions import Action, Answer, Target
from migprog.rpc import brokers

TOPIC = "migprog-compute"
VERSION = "1.0"
# An agent that does not know what came of it by then answers that it does it.
ANSWER_SECONDS = 4.0
# What is not taken within so long is dropped by the broker: nobody wants it done later.
CALL_TIMEOUT_SECONDS = 8.0
# A request of the API has a thread as long as it waits.
_MOST_CALLS = 8


class Unanswered(exception.MigprogError):
    """No agent has answered: the broker is away, or nobody listens there. It may be done yet."""


class ComputeAPI:
    """Client side of :class:`migprog.compute.endpoint.Endpoint`."""

    def __init__(self, transport: messaging.Transport) -> None:
        self._client = rpc.client(transport, TOPIC, VERSION, CALL_TIMEOUT_SECONDS)
        self._calls = Bounded(_MOST_CALLS)

    def ask(self, ctxt: Any, host: str, action: Action, target: Target) -> Answer:
        """Ask the agent of a compute host. Raises :class:`Unanswered`."""
        client = self._client.prepare(server=host, version="1.0")
        try:
            answer = self._calls.run(
                lambda: client.call(ctxt, action.value, migration=target.to_wire()),
                CALL_TIMEOUT_SECONDS + 1,
            )
            return Answer.from_wire(answer)
        except brokers.ERRORS as error:
            raise Unanswered(brokers.cause(error, "the agent").text) from error

# SPDX-License-Identifier: Apache-2.0
"""The client of the conductor's remote methods.

History:
    1.0 - report, progress; since: agents' heartbeats, as a further table; in the answer to a
          migration's first report what was known of it before, as a further key

A change raises the version if the version before would refuse or misread it: a method or argument,
a value of a status, phase, verdict or state, a new required field, a stricter rule. An optional
field, a table or a key does not: readers ignore names that they do not know
(:mod:`migprog.core.wire_table`), and ``tests/unit/conductor/test_versions.py`` checks that. A
conductor of this version reads an unknown value as the nearest known one, or as null where the
field is optional; earlier ones refuse the entry.
"""

from typing import Any

import oslo_messaging as messaging

from migprog import context, exception, outages, rpc
from migprog.deadline import DeadlineRunner
from migprog.rpc import brokers

TOPIC = "migprog-conductor"
VERSION = "1.0"
# How long beyond its own timeout a call that hangs is waited for.
_GRACE_SECONDS = 1.0
# Calls that hang are still delivered when the broker is back, so they are limited.
_MOST_CALLS = 4


class Unreachable(exception.MigprogError):
    """The message was not sent, or no conductor answered in time.

    ``where`` names the broker; ``is_refusal``: it refuses our login; ``is_silence``: the broker
    accepted the message, and no conductor answered in time.
    """

    def __init__(
        self,
        cause: str,
        where: str = "message broker",
        *,
        is_refusal: bool = False,
        is_silence: bool = False,
    ) -> None:
        super().__init__(f"{where}: {cause}")
        self.cause = cause
        self.where = where
        self.is_refusal = is_refusal
        self.is_silence = is_silence


class ConductorAPI:
    """Client side of :class:`migprog.conductor.endpoint.ConductorEndpoint`."""

    def __init__(
        self,
        transport: messaging.Transport,
        call_timeout_seconds: float,
        where: str = "message broker",
    ) -> None:
        self._where = where
        self._call_timeout_seconds = call_timeout_seconds
        client = rpc.client(transport, TOPIC, VERSION, call_timeout_seconds)
        self._client = client.prepare(version="1.0")
        self._calls = DeadlineRunner(_MOST_CALLS)

    def report(self, batch: dict[str, Any], acknowledged: bool) -> dict[str, Any] | None:
        """Send a host's reports (see ``core.messages.Batch``).

        With ``acknowledged`` wait for the conductor's answer and return it; without, return None
        as soon as the broker has the message. Raises :class:`Unreachable`.
        """
        client = self._client
        try:
            if acknowledged:
                answer: dict[str, Any] = self._calls.run(
                    lambda: client.call(context.for_service(), "report", batch=batch),
                    self._call_timeout_seconds + _GRACE_SECONDS,
                )
                outages.worked(self._where)
                return answer
            client.cast(context.for_service(), "progress", batch=batch)
            outages.worked(self._where)
        except messaging.MessagingTimeout as error:
            cause = f"no conductor answered within {self._call_timeout_seconds:g} s"
            raise Unreachable(cause, self._where, is_silence=True) from error
        except brokers.ERRORS as error:
            why = brokers.cause(error)
            raise Unreachable(why.text, self._where, is_refusal=why.is_refusal) from error
        return None

# SPDX-License-Identifier: Apache-2.0
"""The conductor's remote methods, as those who call them see them.

History:
    1.0 - report, progress; since: what agents tell of themselves, as a further table

The version is raised for what the version before would refuse or misread: a method or an argument,
a word of a status, phase, verdict or state, a field that must now be told, a rule made stricter.
What is only more, an optional field, a table, a key, takes none: readers go by the names that they
know (:mod:`migprog.core.table`), and ``tests/unit/conductor/test_versions.py`` holds both to it.
A conductor of this version reads a word that it does not know as the nearest that it knows, or as
null where the field is optional; those before refuse the entry.
"""

from typing import Any

import oslo_messaging as messaging

from migprog import context, exception, outages, rpc
from migprog.bounded import Bounded
from migprog.rpc import brokers

TOPIC = "migprog-conductor"
VERSION = "1.0"
# Beyond its own timeout, a call that hangs is left alone after so long.
_GRACE_SECONDS = 1.0
# Calls that hang are delivered when the broker is reached: from each agent few of them.
_MOST_CALLS = 4


class Unreachable(exception.MigprogError):
    """No conductor took the message: the broker is away, or nobody answered in time.

    ``where`` names the broker; ``is_refusal``: it refuses our login; ``is_silence``: it took the
    message, and no conductor answered in time.
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
        self._client = rpc.client(transport, TOPIC, VERSION, call_timeout_seconds)
        self._calls = Bounded(_MOST_CALLS)

    def report(self, batch: dict[str, Any], acknowledged: bool) -> dict[str, Any] | None:
        """Send a host's reports (see ``core.report.Batch``).

        With ``acknowledged`` it waits for the conductor's answer and returns it; without, it
        returns None as soon as the broker has the message. Raises :class:`Unreachable`.
        """
        client = self._client.prepare(version="1.0")
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

# SPDX-License-Identifier: Apache-2.0
"""Which measurements of a server are credible: those of the host that had it at the time.

Any process with the broker's password can say that it has measured a server. What is recorded of
the server's migrations says which host had it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self, TypeVar

from migprog.core.status import Status

# The server runs at its destination.
_ARRIVED = (Status.COMPLETED, Status.POST_COPY, Status.POST_MIGRATING)


class Measured(Protocol):
    """A measurement: by which host, and when."""

    @property
    def host(self) -> str: ...

    @property
    def measured_at(self) -> datetime: ...


_M = TypeVar("_M", bound=Measured)


@dataclass(frozen=True, slots=True)
class Place:
    """A server's newest migration. ``has_arrived``: the server runs at ``dest``, which is None if
    that is not known."""

    source: str | None
    dest: str | None
    started_at: datetime
    has_arrived: bool

    @classmethod
    def of(
        cls, status: Status | None, source: str | None, dest: str | None, started_at: datetime
    ) -> Self:
        """Return the place that a migration shows."""
        return cls(source, dest, started_at, status in _ARRIVED)

    @property
    def host(self) -> str | None:
        """The host that the server is on, None if its migrations do not show it."""
        return self.dest if self.has_arrived else self.source

    def had(self, each: Measured) -> bool:
        """Return whether the measuring host had the server at the time."""
        if each.measured_at < self.started_at:
            return each.host == self.source
        return each.host == self.host


def credible(measured: Sequence[_M], place: Place | None) -> list[_M]:
    """Return the measurements to use, in their order; without a migration, all.

    Where none is by a host that had the server, it was moved by other means since, as by a cold
    migration: then those since the newest migration began are used.
    """
    if place is None:
        return list(measured)
    return [each for each in measured if place.had(each)] or [
        each for each in measured if each.measured_at >= place.started_at
    ]


def host_of(found: Sequence[Measured], place: Place | None) -> str | None:
    """Return the host that a server is on, by its believed measurements, the newest first, and its
    newest migration; None if neither is known."""
    newest = next(iter(found), None)
    if place is None:
        return None if newest is None else newest.host
    # It was moved by other means since.
    if newest is not None and newest.measured_at >= place.started_at:
        return newest.host
    return place.host

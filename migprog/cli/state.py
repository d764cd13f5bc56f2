# SPDX-License-Identifier: Apache-2.0
"""What a watch knows: the last snapshot, what ended lately, whether the API answers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migprog.cli import events, fleet
from migprog.cli.events import Event, Kind
from migprog.cli.fleet import Fleet
from migprog.cli.record import Record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Migrations in progress by number at ``at``, the API's clock; ``truncated``: there are more.

    ``ended``: final records of those that were in progress before; ``removed``: the last known
    records of those whose record cannot be seen any more.
    """

    at: float
    records: Mapping[int, Record]
    ended: Sequence[Record] = ()
    removed: Sequence[Record] = ()
    truncated: bool = False


@dataclass(slots=True)
class State:
    """``taken_at``: when the API said what is known, None: nothing is known yet; ``outage``: why it
    does not answer, None: it does."""

    taken_at: float | None = None
    outage: str | None = None
    records: Mapping[int, Record] = field(default_factory=dict)
    fleet: Fleet = field(default_factory=Fleet)
    # Of this snapshot alone.
    ended: list[Record] = field(default_factory=list)
    _shown_ended: list[tuple[float, Record]] = field(default_factory=list)

    def take(self, snapshot: Snapshot) -> list[Event]:
        """Take what is known now; return what has changed."""
        found: list[Event] = []
        if self.outage is not None:
            found.append(Event(Kind.API_AVAILABLE, snapshot.at))
        before = None if self.taken_at is None else self.records
        found += events.changes(
            before, snapshot.records, snapshot.ended, snapshot.removed, snapshot.at
        )
        self.taken_at, self.outage, self.records = snapshot.at, None, snapshot.records
        self.ended = list(snapshot.ended)
        ended = [*self._shown_ended, *((snapshot.at, each) for each in snapshot.ended)]
        self._shown_ended = fleet.still_shown(ended, snapshot.at)
        self.fleet = Fleet.of(
            snapshot.records.values(),
            [each for _at, each in self._shown_ended],
            snapshot.truncated,
        )
        return found

    def fail(self, reason: str, at: float) -> list[Event]:
        """Take that the API does not answer; return what has changed."""
        is_new = self.outage is None
        self.outage = reason
        self.ended = []
        return [Event(Kind.API_UNAVAILABLE, at, reason=reason)] if is_new else []

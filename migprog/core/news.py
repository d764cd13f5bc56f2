# SPDX-License-Identifier: Apache-2.0
"""What is new in a list of migrations in progress, since the round that its watcher knows. Pure.

A round is one reading of all migrations in progress. A snapshot is the last round with, for each
record, the round in which it last changed, and the values that filters compared before that. This
gives the news since any remembered round, for any list: a watcher's list is always the same as the
list's own request gives.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from migprog.core.status import IN_PROGRESS, Status

# How many rounds a watcher may be away. Not a number of changes: watchers could tell from it how
# much changes that they may not see.
MOST_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Traits:
    """What filters and the scope of a list look at. ``verdict``: None is no verdict yet."""

    server_uuid: str
    project_id: str | None
    source_compute: str | None
    dest_compute: str | None
    status: Status
    verdict: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The filters of a list of migrations in progress; one that is None does not apply.

    ``project_id``: also the project to which the watcher is confined; ``host``: at either end.
    """

    project_id: str | None = None
    host: str | None = None
    server_uuid: str | None = None
    status: Status | None = None
    verdict: str | None = None

    def has(self, traits: Traits) -> bool:
        """Return whether a migration is in the list."""
        return (
            traits.status in IN_PROGRESS
            and self.project_id in (None, traits.project_id)
            and self.server_uuid in (None, traits.server_uuid)
            and self.status in (None, traits.status)
            and self.verdict in (None, traits.verdict)
            and self.host in (None, traits.source_compute, traits.dest_compute)
        )

    def may_show(self, traits: Traits) -> bool:
        """Return whether the final record of a migration of the list is the watcher's to see."""
        return self.project_id in (None, traits.project_id)


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it was read. ``value`` is compared, and not looked at here."""

    traits: Traits
    value: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with the round in which it last changed."""

    traits: Traits
    value: Any
    changed: int


@dataclass(frozen=True, slots=True)
class _Past:
    """Before ``round``, a migration had these traits; None: it was not in progress."""

    round: int
    id: int
    traits: Traits | None


@dataclass(frozen=True, slots=True)
class News:
    """``changed``: records of the list that are new or have changed; ``ended``: final records of
    those that have left it because they ended; ``left``: ids of all that have left it.

    ``is_whole``: the list is ``changed`` alone, whatever the watcher knew before.
    """

    changed: tuple[Entry, ...] = ()
    ended: tuple[Entry, ...] = ()
    left: tuple[int, ...] = ()
    is_whole: bool = False

    def __bool__(self) -> bool:
        return bool(self.changed or self.left or self.is_whole)


@dataclass(frozen=True)
class Snapshot:
    """The last round.

    ``cursors``: what watchers hold of the last rounds, by the round's number; the number itself is
    never shown. ``ended``: final records of what ended in these rounds.
    """

    round: int = 0
    entries: Mapping[int, Entry] = field(default_factory=dict)
    ended: Mapping[int, Entry] = field(default_factory=dict)
    cursors: Mapping[int, str] = field(default_factory=dict)
    _past: tuple[_Past, ...] = ()

    @property
    def cursor(self) -> str:
        """Return the cursor of this round."""
        return self.cursors[self.round]

    def round_of(self, cursor: str) -> int | None:
        """Return the round of a cursor; None: it is too old, or of another process."""
        return self._rounds.get(cursor)

    @functools.cached_property
    def _rounds(self) -> Mapping[str, int]:
        return {cursor: number for number, cursor in self.cursors.items()}

    @functools.cached_property
    def _by_project(self) -> Mapping[str | None, Mapping[int, Entry]]:
        found: dict[str | None, dict[int, Entry]] = {}
        for key, each in self.entries.items():
            found.setdefault(each.traits.project_id, {})[key] = each
        return found

    def left_since(self, ids: Iterable[int]) -> list[int]:
        """Return which migrations are in progress no longer, if these are all that are."""
        return sorted(self.entries.keys() - set(ids))

    def next(
        self, in_progress: Mapping[int, Found], ended: Mapping[int, Found], cursor: str
    ) -> "Snapshot":
        """Return the next round. ``ended``: final records of those that have left; one that has
        none was deleted. ``cursor``: any text that no earlier round has had."""
        number = self.round + 1
        entries, past = {}, []
        for key, found in in_progress.items():
            old = self.entries.get(key)
            if old is not None and old.value == found.value and old.traits == found.traits:
                entries[key] = old
                continue
            entries[key] = Entry(found.traits, found.value, number)
            if old is None or old.traits != found.traits:
                past.append(_Past(number, key, None if old is None else old.traits))
        for key in self.left_since(in_progress):
            past.append(_Past(number, key, self.entries[key].traits))
        oldest = number - MOST_ROUNDS
        final = {key: each for key, each in self.ended.items() if each.changed > oldest}
        final |= {key: Entry(each.traits, each.value, number) for key, each in ended.items()}
        return Snapshot(
            number,
            entries,
            {key: each for key, each in final.items() if key not in entries},
            {n: c for n, c in self.cursors.items() if n >= oldest} | {number: cursor},
            (*(each for each in self._past if each.round > oldest), *past),
        )

    def whole(self, selection: Selection) -> News:
        """Return the whole list."""
        return News(tuple(self._listed(selection).values()), is_whole=True)

    def news(self, selection: Selection, since: int) -> News:
        """Return what is new in a list since a round that has a cursor."""
        if since == self.round:
            return News()
        listed = self._listed(selection)
        # Of those whose traits have changed: what they were at that round.
        were: dict[int, Traits | None] = {}
        for each in self._past:
            if each.round > since:
                were.setdefault(each.id, each.traits)
        left = tuple(
            key
            for key, traits in were.items()
            if key not in listed and traits is not None and selection.has(traits)
        )
        return News(
            tuple(each for each in listed.values() if each.changed > since),
            tuple(
                self.ended[key]
                for key in left
                if key in self.ended and selection.may_show(self.ended[key].traits)
            ),
            left,
        )

    def _listed(self, selection: Selection) -> Mapping[int, Entry]:
        among = self.entries
        if selection.project_id is not None:
            among = self._by_project.get(selection.project_id, {})
        return {key: each for key, each in among.items() if selection.has(each.traits)}

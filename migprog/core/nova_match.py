# SPDX-License-Identifier: Apache-2.0
"""Match Nova's records of a server's migrations with those that libvirt was seen to run."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LIVE_MIGRATION = "live-migration"
# Nova's final statuses.
ENDED = frozenset({"completed", "failed", "error", "cancelled"})
# Nova writes "running" before it asks libvirt to begin.
NOT_BEGUN = frozenset({"accepted", "queued", "preparing", "pre-migrating"})
# What Nova lists as a server's migrations in progress.
LISTED = frozenset({"queued", "preparing", "running", "post-migrating"})
# The most by which the clocks of a controller and of a hypervisor differ. Nova writes its record
# before libvirt begins, and its end after libvirt's.
CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaPlaces:
    """The hosts and flavors in a record of Nova's, and its creation time."""

    source_compute: str | None
    source_node: str | None
    dest_compute: str | None
    dest_node: str | None
    dest_host: str | None
    old_instance_type_id: int | None
    new_instance_type_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaMigration(NovaPlaces):
    """A record of Nova's. Instants are by the controllers' clock, with their zone; None: Nova has
    no value. ``user_id`` and ``project_id`` are of who asked for the migration."""

    id: int
    uuid: str
    server_uuid: str
    migration_type: str | None
    status: str | None
    user_id: str | None
    project_id: str | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMigration:
    """A migration as agents saw it.

    ``started_at``: when its data began to move; ``seen_at``: when it last ran, or ended. Both by
    the hypervisors' clocks. ``nova_uuid``: that of Nova's record, if it is known.
    """

    uuid: str
    source_compute: str | None
    source_node: str | None
    dest_compute: str | None
    dest_node: str | None
    started_at: datetime
    seen_at: datetime
    in_progress: bool
    nova_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """``named``: Nova's records, by the UUIDs of our migrations; ``ambiguous``: those of ours that
    match several records, or none with certainty yet. The others have no record."""

    named: Mapping[str, NovaMigration] = field(default_factory=dict)
    ambiguous: Collection[str] = ()


def pair(seen: Iterable[SeenMigration], records: Iterable[NovaMigration]) -> Pairs:
    """Pair a server's migrations that have no Nova id with Nova's records, without guessing.

    A server has one migration at a time, here and in Nova: so both are in the same order, and a
    record belongs to one migration. A pair is named where no other way to pair all of them
    exists. ``seen`` are the server's migrations, including those with a Nova id.
    """
    ours = sorted(seen, key=lambda each: each.started_at)
    theirs = _in_their_order(records)
    places = {each.record.uuid: place for place, each in enumerate(theirs)}
    unnamed = [
        (each, may)
        for number, each in enumerate(ours)
        if each.nova_uuid is None and (may := _candidates(number, ours, theirs, places))
    ]
    named: dict[str, NovaMigration] = {}
    ambiguous: list[str] = []
    for apart in _apart(unnamed):
        found = _only_way([may for _each, may in apart])
        for (each, _may), place in zip(apart, found, strict=True):
            # Nova says that a running one has ended: the record may be the one before it.
            if place is None or (each.in_progress and theirs[place].is_over):
                ambiguous.append(each.uuid)
            else:
                named[each.uuid] = theirs[place].record
    return Pairs(named, ambiguous)


@dataclass(frozen=True, slots=True)
class _Theirs:
    """A record, and when Nova ended it, where that is known."""

    record: NovaMigration
    is_over: bool
    over_at: datetime | None


def _in_their_order(records: Iterable[NovaMigration]) -> list[_Theirs]:
    """Sort the records. Nova begins none while another one of the server is in progress: one that
    it has not ended is over as soon as there is a newer one."""
    ordered = sorted(records, key=lambda each: (each.created_at, each.id))
    theirs = []
    for record, newer in itertools.zip_longest(ordered, ordered[1:]):
        if record.status in ENDED:
            theirs.append(_Theirs(record, True, record.updated_at))
        else:
            over_at = None if newer is None else newer.created_at
            theirs.append(_Theirs(record, newer is not None, over_at))
    return theirs


_Unnamed = list[tuple[SeenMigration, list[int]]]


def _apart(unnamed: _Unnamed) -> Iterator[_Unnamed]:
    """Split into groups that share no candidates, so that an ambiguous one affects no other."""
    begin, highest = 0, -1
    for number, (_each, may) in enumerate(unnamed):
        lowest_behind = min(min(behind) for _other, behind in unnamed[number:])
        if number > begin and highest < lowest_behind:
            yield unnamed[begin:number]
            begin = number
        highest = max(highest, *may)
    if unnamed:
        yield unnamed[begin:]


def _only_way(candidates: Sequence[Sequence[int]]) -> list[int | None]:
    """Return for each the candidate that it has in every assignment in order, else None."""
    first = _in_order(candidates)
    # The same from the other end, where the last candidates are taken first.
    last = _in_order([[-place for place in reversed(may)] for may in reversed(candidates)])
    if first is None or last is None:
        return [None] * len(candidates)
    return [
        one if one == -other else None for one, other in zip(first, reversed(last), strict=True)
    ]


def _candidates(
    number: int, ours: Sequence[SeenMigration], theirs: Sequence[_Theirs], places: Mapping[str, int]
) -> list[int]:
    """Return the places of the records that the migration may be: those between the matches of the
    migrations before and after it."""
    before = [places.get(each.nova_uuid or "", -1) for each in ours[:number]]
    after = [places.get(each.nova_uuid or "", len(theirs)) for each in ours[number:]]
    between = range(max(before, default=-1) + 1, min(after, default=len(theirs)))
    return [place for place in between if _may_be(ours[number], theirs[place])]


def _in_order(candidates: Sequence[Sequence[int]]) -> list[int] | None:
    """Return the lowest candidate of each that follows the one before; None if there is none."""
    taken: list[int] = []
    for each in candidates:
        place = next((place for place in each if not taken or place > taken[-1]), None)
        if place is None:
            return None
        taken.append(place)
    return taken


def _may_be(seen: SeenMigration, theirs: _Theirs) -> bool:
    """Return whether a record may be the migration that was seen, taken by itself."""
    record = theirs.record
    return (
        record.migration_type == LIVE_MIGRATION
        and record.status not in NOT_BEGUN
        and _is_host(
            seen.source_compute, seen.source_node, record.source_compute, record.source_node
        )
        and (
            None in (seen.dest_compute, record.dest_compute)
            or _is_host(seen.dest_compute, seen.dest_node, record.dest_compute, record.dest_node)
        )
        and record.created_at <= seen.started_at + CLOCK_SKEW
        and (theirs.over_at is None or theirs.over_at >= seen.seen_at - CLOCK_SKEW)
    )


def _is_host(
    compute: str | None, node: str | None, nova_compute: str | None, nova_node: str | None
) -> bool:
    """Compare by either name of the host, as the ``host`` options may differ."""
    names = ((compute, nova_compute), (node, nova_node))
    return any(ours is not None and ours == theirs for ours, theirs in names)

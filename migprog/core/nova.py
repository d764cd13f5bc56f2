# SPDX-License-Identifier: Apache-2.0
"""Which of Nova's records of a server's migrations is one that libvirt was seen to run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

LIVE_MIGRATION = "live-migration"
# Of Nova's words those that nothing follows.
ENDED = frozenset({"completed", "failed", "error", "cancelled"})
# The clocks of a controller and of a hypervisor, at most; Nova writes its record before libvirt
# begins, and its end after libvirt's.
CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaMigration:
    """A record of Nova's. Instants are by the controllers' clock, with their zone; None: Nova does
    not say."""

    id: int
    uuid: str
    migration_type: str | None
    status: str | None
    source_compute: str | None
    source_node: str | None
    dest_compute: str | None
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A migration as agents saw it. ``started_at``: when its data began to move, by the source's
    clock."""

    source_compute: str | None
    source_node: str | None
    dest_compute: str | None
    started_at: datetime


def matching(seen: Seen, records: Iterable[NovaMigration]) -> list[NovaMigration]:
    """The records that may be the migration that was seen: it is known by exactly one, and never
    guessed among several."""
    return [record for record in records if _may_be(seen, record)]


def _may_be(seen: Seen, record: NovaMigration) -> bool:
    return (
        record.migration_type == LIVE_MIGRATION
        and _is_from(seen, record)
        and (
            None in (seen.dest_compute, record.dest_compute)
            or seen.dest_compute == record.dest_compute
        )
        and record.created_at <= seen.started_at + CLOCK_SKEW
        and not _was_over(record, seen.started_at)
    )


def _is_from(seen: Seen, record: NovaMigration) -> bool:
    """By either name of the host, as their ``host`` options may differ."""
    names = (
        (seen.source_compute, record.source_compute),
        (seen.source_node, record.source_node),
    )
    return any(ours is not None and ours == theirs for ours, theirs in names)


def _was_over(record: NovaMigration, at: datetime) -> bool:
    """Whether it had ended before then; what changed it last, if it has ended, was its end."""
    return (
        record.status in ENDED
        and record.updated_at is not None
        and record.updated_at < at - CLOCK_SKEW
    )

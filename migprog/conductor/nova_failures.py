# SPDX-License-Identifier: Apache-2.0
"""Records of live migrations that failed before libvirt showed them to anybody, made of Nova's.

libvirt sends no event of a migration that its destination refuses, and shows its job for about a
second. Nova has a record of it. It is taken over where the source's agent was there all the while,
so that nobody will tell of it later.
"""

import logging
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from migprog import exception, objects
from migprog.core.nova_match import CLOCK_SKEW, LIVE_MIGRATION, NovaMigration
from migprog.core.report import Batch, Report
from migprog.core.status import Phase, Status
from migprog.metrics import conductor as metrics

LOG = logging.getLogger(__name__)

# Nova's words for a live migration that came to nothing.
_FAILED = frozenset({"failed", "error"})
# Until then an agent that has seen something has told of it.
_SETTLED = timedelta(seconds=10)
# Our UUIDs of them: the same, whichever conductor makes a record.
_NAMESPACE = uuid.UUID("5f2f1d1e-7f0a-4d6c-9a53-0f5a4a3e9b61")
_MOST_MIGRATIONS = 20


def record(store: objects.Store, records: Iterable[NovaMigration]) -> None:
    """Have a record of each that failed and that nobody has seen. Raises
    :class:`objects.Unavailable`."""
    now = datetime.now(UTC)
    for each in records:
        if _has_failed(each, now) and _is_unseen(store, each) and _was_watched(store, each, now):
            _take_over(store, each)


def _has_failed(record: NovaMigration, now: datetime) -> bool:
    return (
        record.migration_type == LIVE_MIGRATION
        and record.status in _FAILED
        and record.updated_at is not None
        and record.updated_at < now - _SETTLED
    )


def _is_unseen(store: objects.Store, record: NovaMigration) -> bool:
    """Whether no migration of ours is this one, nor may be."""
    ended_at = record.updated_at or record.created_at
    ours = objects.Migration.list(store, server_uuid=record.server_uuid, limit=_MOST_MIGRATIONS)
    return not any(
        each.nova_uuid == record.uuid
        or (
            each.nova_uuid is None
            and record.created_at - CLOCK_SKEW <= each.started_at <= ended_at + CLOCK_SKEW
        )
        for each in ours
    )


def _was_watched(store: objects.Store, record: NovaMigration, now: datetime) -> bool:
    """Whether the source's agent has run since before it was asked for."""
    if record.source_compute is None:
        return False
    agent = objects.Agent.get(store, record.source_compute)
    return agent is not None and not agent.is_silent(now) and agent.started_at < record.created_at


def _take_over(store: objects.Store, record: NovaMigration) -> None:
    assert record.source_compute is not None and record.updated_at is not None
    server = _known(store, record.server_uuid)
    report = Report(
        uuid=str(uuid.uuid5(_NAMESPACE, record.uuid)),
        server_uuid=record.server_uuid,
        sequence=1,
        status=Status.FAILED,
        phase=Phase.DONE,
        started_at=record.created_at.timestamp(),
        sampled_at=record.updated_at.timestamp(),
        ended_at=record.updated_at.timestamp(),
        error=f"Nova calls it {record.status!r}, and libvirt has not begun to move its data: "
        f"nova-compute's log on {record.source_compute} has the reason",
        server_name=None if server is None else server.name,
        project_id=None if server is None else server.project_id,
        user_id=None if server is None else server.user_id,
    )
    host, node = record.source_compute, record.source_node or record.source_compute
    stored = objects.store_batch(store, Batch(host=host, node=node, reports=(report,)), time.time())
    if report.uuid not in stored.ack.stored:
        return
    metrics.stored(stored.reports, stored.ends)
    migration = objects.Migration.get(store, record.server_uuid, report.uuid)
    objects.name(store, migration, record, time.time())
    LOG.info(
        "migration %s of server %s recorded from Nova's record %s: it failed before libvirt began",
        *(report.uuid, record.server_uuid, record.uuid),
    )


def _known(store: objects.Store, server_uuid: str) -> objects.Server | None:
    """A server by its earlier migrations."""
    try:
        return objects.Server.get(store, server_uuid)
    except exception.NotFound:
        return None

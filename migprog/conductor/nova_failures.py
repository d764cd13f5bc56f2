# SPDX-License-Identifier: Apache-2.0
"""Records live migrations that failed before libvirt began, from Nova's records of them.

libvirt sends no event for a migration that its destination refuses, and shows the job for about a
second. Nova has a record of it. It is copied only where the source's agent ran all the time: then
no agent will report the migration later.
"""

import dataclasses
import logging
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from migprog import exception, objects
from migprog.core.messages import Batch, Report
from migprog.core.nova_match import CLOCK_SKEW, LIVE_MIGRATION, NovaMigration
from migprog.core.status import Phase, Status
from migprog.metrics import conductor as metrics
from migprog.notifications import Notify

LOG = logging.getLogger(__name__)

# Nova's statuses of a live migration that failed.
_FAILED = frozenset({"failed", "error"})
# By then an agent that has seen the migration has reported it.
_REPORTED = timedelta(seconds=10)
# For the UUIDs of the records: the same, whichever conductor makes one.
_NAMESPACE = uuid.UUID("5f2f1d1e-7f0a-4d6c-9a53-0f5a4a3e9b61")
_MOST_MIGRATIONS = 20


def record(
    store: objects.Store, records: Iterable[NovaMigration], notify: Notify | None = None
) -> None:
    """Record each failed migration of ``records`` that no agent has reported, and ``notify``.

    Raises :class:`objects.Unavailable`.
    """
    now = datetime.now(UTC)
    for each in records:
        if (
            _has_failed(each, now)
            and _is_unreported(store, each)
            and _was_watched(store, each, now)
        ):
            _store(store, each, notify)


def _has_failed(record: NovaMigration, now: datetime) -> bool:
    return (
        record.migration_type == LIVE_MIGRATION
        and record.status in _FAILED
        and record.updated_at is not None
        and record.updated_at < now - _REPORTED
    )


def _is_unreported(store: objects.Store, record: NovaMigration) -> bool:
    """Return whether none of the server's stored migrations can be this one."""
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
    """Return whether the source's agent has run since before Nova created the record."""
    if record.source_compute is None:
        return False
    agent = objects.Agent.get(store, record.source_compute)
    return agent is not None and not agent.is_silent(now) and agent.started_at < record.created_at


def _store(store: objects.Store, record: NovaMigration, notify: Notify | None) -> None:
    assert record.source_compute is not None and record.updated_at is not None
    server = _find_server(store, record.server_uuid)
    report = Report(
        uuid=str(uuid.uuid5(_NAMESPACE, record.uuid)),
        server_uuid=record.server_uuid,
        sequence=1,
        status=Status.FAILED,
        phase=Phase.DONE,
        started_at=record.created_at.timestamp(),
        sampled_at=record.updated_at.timestamp(),
        ended_at=record.updated_at.timestamp(),
        error=f"failed before libvirt began (Nova's status: {record.status!r}): see nova-compute's "
        f"log on {record.source_compute}",
        server_name=None if server is None else server.name,
        project_id=None if server is None else server.project_id,
        user_id=None if server is None else server.user_id,
    )
    host, node = record.source_compute, record.source_node or record.source_compute
    batch = objects.ReceivedBatch(Batch(host=host, node=node, reports=(report,)), time.time())
    (stored,) = objects.store_batches(store, [batch], for_notices=notify is not None)
    if stored.ack.refused:
        return
    metrics.stored(stored.reports, stored.ends)
    migration = objects.Migration.get(store, record.server_uuid, report.uuid)
    objects.name(store, migration, record, time.time())
    if notify is not None:
        ids = {"nova_id": record.id, "nova_uuid": record.uuid}
        notify(
            dataclasses.replace(each, migration={**each.migration, **ids}) for each in stored.events
        )
    LOG.info(
        "migration %s of server %s failed before libvirt began; recorded from Nova's migration %s",
        *(report.uuid, record.server_uuid, record.uuid),
    )


def _find_server(store: objects.Store, server_uuid: str) -> objects.Server | None:
    """Return the server as its earlier migrations have it, or None."""
    try:
        return objects.Server.get(store, server_uuid)
    except exception.NotFound:
        return None

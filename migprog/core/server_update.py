# SPDX-License-Identifier: Apache-2.0
"""What a migration's record shows of its server.

1. A server shows its newest migration, and that one's progress.
2. A migration whose source and end are both unknown is not shown.
3. A server never changes its project: another project's migration is not shown.
"""

from datetime import datetime

from migprog.core.arrivals import CLOCK_SKEW
from migprog.core.record import Record, age
from migprog.core.server_record import ServerRecord
from migprog.core.status import IN_PROGRESS, Status


def update(old: ServerRecord | None, migration: Record, now: datetime) -> ServerRecord | None:
    """Return the server's record after its migration changed; None: no change."""
    if old is not None and not _is_shown(old, migration, now):
        return None
    name, project_id, user_id = (None, None, None)
    if old is not None:
        name, project_id, user_id = old.name, old.project_id, old.user_id
    host = migration.source_compute
    if migration.status is Status.COMPLETED:
        host = migration.dest_compute or host
    return ServerRecord(
        uuid=migration.server_uuid,
        name=migration.server_name or name,
        project_id=project_id or migration.project_id,
        user_id=user_id or migration.user_id,
        migration_uuid=migration.uuid,
        migration_started_at=migration.started_at,
        host=host,
        progress=migration.percent,
        sampled_at=migration.sampled_at,
        created_at=now if old is None else old.created_at,
        updated_at=now,
    )


def _is_shown(server: ServerRecord, migration: Record, now: datetime) -> bool:
    if not (migration.source_compute or migration.status is Status.COMPLETED):
        return False
    if is_of_another_project(server, migration):
        return False
    if server.migration_uuid == migration.uuid:
        return True
    # Stored before hosts' clocks were corrected: it would hide all others until that instant.
    is_absurd = server.migration_started_at > now + CLOCK_SKEW
    return is_absurd or age(migration) >= (server.migration_started_at, server.migration_uuid)


def is_of_another_project(server: ServerRecord, migration: Record) -> bool:
    """Return whether both have a project, and not the same."""
    new, known = migration.project_id, server.project_id
    return None not in (new, known) and new != known


def is_progress(old: ServerRecord | None, new: ServerRecord, migration: Record) -> bool:
    """Return whether a server's record became ``new`` by its migration's progress alone."""
    return (
        old is not None
        and migration.status in IN_PROGRESS
        and (old.name, old.project_id, old.user_id, old.migration_uuid)
        == (new.name, new.project_id, new.user_id, new.migration_uuid)
    )

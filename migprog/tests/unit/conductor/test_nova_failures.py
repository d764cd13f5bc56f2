# SPDX-License-Identifier: Apache-2.0
"""What failed before libvirt showed it to anybody is recorded from Nova's record of it."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from migprog import objects
from migprog.conductor import nova_failures
from migprog.core.messages import Agent, Batch
from migprog.core.nova_match import NovaMigration
from migprog.core.status import Status
from migprog.tests import stores


@pytest.fixture
def store(tmp_path) -> Iterator[objects.Store]:
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield store
    store.close()


LATELY = datetime.now(UTC) - timedelta(seconds=60)


def failed(server_uuid: str, **values: object) -> NovaMigration:
    """Nova's record of one that libvirt has not begun."""
    known = {
        "status": "error",
        "created_at": LATELY,
        "updated_at": LATELY + timedelta(seconds=3),
    }
    begun = stores.report(server_uuid=server_uuid)
    return stores.nova_record(begun, **(known | values))


def watched(
    store: objects.Store, since: datetime, last_reported_at: datetime | None = None
) -> None:
    """The source has an agent."""
    agent = Agent(
        version="1",
        started_at=since.timestamp(),
        report_interval_seconds=5.0,
        heartbeat_interval_seconds=30.0,
        migrations=0,
    )
    batch = Batch(host="source", node="source.example.org", agent=agent)
    objects.store_batch(store, batch, (last_reported_at or datetime.now(UTC)).timestamp())


def test_early_failure_is_stored_from_novas_record(store) -> None:
    known = stores.report(server_name="web", project_id="owners", status=Status.COMPLETED)
    stores.store(store, known)
    watched(store, LATELY - timedelta(seconds=600))
    theirs = failed(known.server_uuid)
    # Another conductor makes no second one of it.
    for _ in range(2):
        nova_failures.record(store, [theirs])
    new, _old = objects.Migration.list(store, server_uuid=known.server_uuid)
    assert (new.status, new.nova_id, new.nova_user_id) == (Status.FAILED, 17, "admin")
    assert (new.source_compute, new.server_name, new.project_id) == ("source", "web", "owners")
    assert (new.started_at, new.ended_at) == (LATELY, LATELY + timedelta(seconds=3))
    assert "nova-compute's log on source" in new.error and new.memory_total_bytes is None


def nobody_watched(store: objects.Store) -> NovaMigration:
    return failed(str(uuid.uuid4()))


def the_agent_came_later(store: objects.Store) -> NovaMigration:
    watched(store, LATELY + timedelta(seconds=1))
    return failed(str(uuid.uuid4()))


def the_agent_is_silent(store: objects.Store) -> NovaMigration:
    watched(store, LATELY - timedelta(seconds=600), LATELY - timedelta(seconds=90))
    return failed(str(uuid.uuid4()))


def just_now(store: objects.Store) -> NovaMigration:
    watched(store, LATELY - timedelta(seconds=600))
    return failed(str(uuid.uuid4()), updated_at=datetime.now(UTC))


def it_was_seen(store: objects.Store) -> NovaMigration:
    """And has not got its name yet."""
    watched(store, LATELY - timedelta(seconds=600))
    report = stores.report(started_at=LATELY.timestamp() + 1, status=Status.FAILED)
    stores.store(store, report)
    return failed(report.server_uuid)


def it_completed(store: objects.Store) -> NovaMigration:
    watched(store, LATELY - timedelta(seconds=600))
    return failed(str(uuid.uuid4()), status="completed")


def it_is_none(store: objects.Store) -> NovaMigration:
    watched(store, LATELY - timedelta(seconds=600))
    return failed(str(uuid.uuid4()), migration_type="migration")


@pytest.mark.parametrize(
    "why",
    [
        *(nobody_watched, the_agent_came_later, the_agent_is_silent),
        *(just_now, it_was_seen, it_completed, it_is_none),
    ],
)
def test_failure_that_an_agent_may_report_is_not_stored_from_novas_record(
    store: objects.Store, why: Callable[[objects.Store], NovaMigration]
) -> None:
    theirs = why(store)
    before = len(objects.Migration.list(store))
    nova_failures.record(store, [theirs])
    assert len(objects.Migration.list(store)) == before

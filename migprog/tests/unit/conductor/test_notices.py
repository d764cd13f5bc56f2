# SPDX-License-Identifier: Apache-2.0
"""The conductor notifies of what is stored, and of nothing else."""

import pytest

from migprog import objects
from migprog.conductor.storing import make_store_batches
from migprog.core.messages import Batch
from migprog.core.notices import Event, Kind
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, later


def batch(*reports: objects.Migration) -> objects.ReceivedBatch:
    return objects.ReceivedBatch(Batch("source", "source", reports=reports), START + 100)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/migprog.sqlite"


@pytest.fixture
def store(url):
    store = stores.ready(url)
    yield store
    store.close()


def test_what_is_stored_is_notified_of_after_the_commit(store, url):
    other = stores.connect(url)
    seen = []

    def notify(events):
        for each in events:
            row = objects.Migration.get(other, *_ids(each))
            seen.append((each.kind, row.status))

    store_batches = make_store_batches(store, notify=notify)
    first, second = stores.report(), stores.report()
    store_batches([batch(first), batch(second)])
    end = {"phase": Phase.DONE, "ended_at": START + 2}
    store_batches([batch(later(first, 2, Status.CANCELLED, **end))])
    other.close()
    assert seen == [
        (Kind.START, Status.RUNNING),
        (Kind.START, Status.RUNNING),
        (Kind.END, Status.CANCELLED),
    ]


def _ids(event: Event) -> tuple[str, str]:
    return event.migration["server_uuid"], event.migration["uuid"]


def test_what_is_not_stored_is_not_notified_of(store):
    events: list[Event] = []
    store_batches = make_store_batches(store, notify=events.extend)
    first = stores.report()
    store.close()
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE migrations")
    with pytest.raises(Exception, match="no tables"):
        store_batches([batch(first)])
    assert events == []

# SPDX-License-Identifier: Apache-2.0
"""However reports come, late, repeated or not at all, the same record remains in the end."""

import dataclasses
import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprog import exception, objects
from migprog.core.messages import Arrival, ArrivalState, Report
from migprog.core.status import ENDED, Status
from migprog.tests import stores
from migprog.tests.stores import START

# When all of it could be told.
LATER = START + 10_000
PERCENT = st.none() | st.integers(0, 99)
# Sorted backwards they are in the order of a migration.
MOVED = st.sampled_from([Status.POST_COPY, Status.POST_MIGRATING])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stores.ready(f"sqlite:///{tmp_path_factory.mktemp('store')}/migprog.sqlite")


@st.composite
def courses(draw, started_at: float = START) -> list[Report]:
    """A migration's reports in order, as an agent makes them: the percentage never goes back."""
    before = [Status.RUNNING] * draw(st.integers(0, 4))
    after = draw(st.lists(MOVED, max_size=3).map(sorted).map(lambda moved: moved[::-1]))
    ends = ENDED - {Status.CANCELLED} if after else ENDED
    if Status.POST_MIGRATING in after:
        # The server is over there: that its end is not known means that it has completed.
        ends -= {Status.UNKNOWN}
    statuses = [*before, *after, draw(st.sampled_from(sorted(ends)))]
    known = sorted(draw(st.lists(st.integers(0, 99), max_size=len(statuses))))
    percents = [None] * (len(statuses) - len(known)) + known
    first = stores.report(started_at=started_at, server_name="web")
    return [
        stores.later(
            first, sequence=3 * number, status=status, percent=percent, verdict_message=str(number)
        )
        for number, (status, percent) in enumerate(zip(statuses, percents, strict=True), start=1)
    ]


def deliveries(reports: list[Report]) -> st.SearchStrategy[list[list[Report | Arrival]]]:
    """Batches with the last report, and any of the others and arrivals, any number of times."""
    told = stores.arrival(reports[0].server_uuid)
    entries: list[Report | Arrival] = [*reports, told]
    some = st.lists(st.sampled_from(entries), max_size=12)
    batches = st.lists(some, max_size=6)
    return st.tuples(batches, st.integers(0, 6)).map(
        lambda drawn: [*drawn[0][: drawn[1]], [reports[-1]], *drawn[0][drawn[1] :], [told]]
    )


def _store(store, batch: list[Report | Arrival]) -> None:
    reports = (entry for entry in batch if isinstance(entry, Report))
    arrivals = (entry for entry in batch if isinstance(entry, Arrival))
    stores.store(store, *reports, last_reported_at=LATER)
    stores.store(store, *arrivals, host="dest", last_reported_at=LATER)


def _found(store, report: Report) -> objects.Migration | None:
    try:
        return stores.migration(store, report)
    except exception.NotFound:
        return None


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_record_has_the_last_report(store, data):
    reports = data.draw(courses())
    batches = data.draw(deliveries(reports))
    percent = -1
    for batch in batches:
        _store(store, batch)
        stored = _found(store, reports[0])
        if stored is None:
            continue
        server = objects.Server.get(store, stored.server_uuid)
        assert (server.sampled_at, server.progress) == (stored.sampled_at, stored.percent)
        if stored.percent is not None:
            assert stored.percent >= percent
            percent = stored.percent
        assert stored.percent is not None or percent == -1

    # The same migration, told once, in order, under another name.
    twin = {"uuid": str(uuid.uuid4()), "server_uuid": str(uuid.uuid4())}
    in_order = [dataclasses.replace(report, **twin) for report in reports]
    for report in in_order:
        _store(store, [report])
    _store(store, [stores.arrival(twin["server_uuid"])])
    expected = stores.lasting(stores.migration(store, in_order[0]))
    assert stores.lasting(stores.migration(store, reports[0])) | twin == expected
    host, other = (objects.Server.get(store, r.server_uuid).host for r in (reports[0], in_order[0]))
    assert host == other


@settings(max_examples=40, deadline=None)
@given(percents=st.lists(PERCENT, min_size=1, max_size=12), seed=st.integers())
def test_percent_never_decreases_in_any_order(store, percents, seed):
    first = stores.report()
    told = [
        stores.later(first, sequence=number, percent=percent)
        for number, percent in enumerate(percents, start=1)
    ]
    random.Random(seed).shuffle(told)
    seen = []
    for report in told:
        _store(store, [report])
        seen.append(stores.migration(store, first).percent)
    known = [percent for percent in seen if percent is not None]
    assert known == sorted(known)
    assert None not in seen[len(seen) - len(known) :], "what was known is not forgotten"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_newest_migration_speaks_for_its_server(store, data):
    server_uuid = str(uuid.uuid4())
    told: list[Report] = []
    for number in range(3):
        course = data.draw(courses(started_at=START + 1000 * number))
        told += [dataclasses.replace(report, server_uuid=server_uuid) for report in course]
    newest = None
    for report in data.draw(st.permutations(told)):
        _store(store, [report])
        newest = max(newest or report, report, key=lambda r: r.started_at)
        stored = stores.migration(store, newest)
        server = objects.Server.get(store, server_uuid)
        assert server.migration_uuid == stored.uuid
        assert (server.sampled_at, server.progress) == (stored.sampled_at, stored.percent)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_late_source_and_second_agent_make_one_record(store, data):
    """Its reports, those of another agent under another UUID, and its arrival, each at least once,
    with silences between them: one record, with the source's figures."""
    first = stores.report(percent=7, verdict_message="so", server_name="web")
    figures = {
        "total_seconds": 5.5,
        "downtime_seconds": 0.5,
        "verdict_message": "done",
        "percent": 100,
    }
    end = stores.later(first, 5, Status.COMPLETED, ended_at=START + 5.5, **figures)
    twin = dataclasses.replace(first, uuid=str(uuid.uuid4()), started_at=START + 0.01)
    came = dataclasses.replace(
        stores.arrival(first.server_uuid, START + 5, ArrivalState.RESUMED),
        complete=True,
        total_seconds=5.0,
        memory_processed_bytes=3000,
    )
    once = data.draw(st.permutations([end, twin, came]))
    more = data.draw(st.lists(st.sampled_from([first, end, twin, came]), max_size=4))
    last_reported_at = START + 6
    for entry in [first, *once, *more, came]:
        last_reported_at += data.draw(st.sampled_from([1, 200]))
        host = "dest" if isinstance(entry, Arrival) else "source"
        stores.store(store, entry, host=host, last_reported_at=last_reported_at)
    (record,) = objects.Migration.list(store, server_uuid=first.server_uuid)
    assert {name: getattr(record, name) for name in figures} == figures
    assert (record.uuid, record.status, record.dest_compute) == (
        *(first.uuid, Status.COMPLETED),
        "dest",
    )
    assert (record.ended_at, record.sampled_at) == (stores.at(START + 5.5), stores.at(START + 5))
    assert record.memory_processed_bytes == 3000
    server = objects.Server.get(store, first.server_uuid)
    assert (server.host, server.progress) == ("dest", 100)

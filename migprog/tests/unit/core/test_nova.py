# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, datetime, timedelta

import pytest

from migprog.core.nova import NovaMigration, Seen, matching

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
SEEN = Seen(source_compute="a", source_node="a.example.org", dest_compute=None, started_at=AT)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def record(**values: object) -> NovaMigration:
    known = {
        "id": 7,
        "uuid": "6f0c8a52-2d1e-4f37-9c07-4b6a4d0c7b11",
        "migration_type": "live-migration",
        "status": "running",
        "source_compute": "a",
        "source_node": "a.example.org",
        "dest_compute": "b",
        "created_at": after(-3),
        "updated_at": after(-1),
    }
    return NovaMigration(**(known | values))


@pytest.mark.parametrize(
    ("values", "matches"),
    [
        ({}, True),
        ({"status": "preparing"}, True),
        ({"source_compute": "other"}, True),
        ({"source_node": None}, True),
        ({"source_compute": "other", "source_node": "other"}, False),
        ({"source_compute": None, "source_node": None}, False),
        ({"migration_type": "migration"}, False),
        ({"migration_type": "evacuation"}, False),
        ({"migration_type": None}, False),
        ({"created_at": after(-86400)}, True),
        ({"created_at": after(4)}, True),
        ({"created_at": after(6)}, False),
        # It ended when this one had long begun, or before that.
        ({"status": "completed", "updated_at": after(60)}, True),
        ({"status": "completed", "updated_at": after(-4)}, True),
        ({"status": "completed", "updated_at": after(-6)}, False),
        ({"status": "error", "updated_at": after(-600)}, False),
        ({"status": "running", "updated_at": after(-600)}, True),
        ({"status": "cancelled", "updated_at": None}, True),
    ],
)
def test_which_record_it_may_be(values: dict[str, object], matches: bool) -> None:
    told = record(**values)
    assert matching(SEEN, [told]) == ([told] if matches else [])


@pytest.mark.parametrize(
    ("ours", "theirs", "matches"),
    [("b", "b", True), ("b", "c", False), (None, "c", True), ("b", None, True)],
)
def test_the_destination_where_both_know_it(
    ours: str | None, theirs: str | None, matches: bool
) -> None:
    seen = Seen(source_compute="a", source_node=None, dest_compute=ours, started_at=AT)
    assert bool(matching(seen, [record(dest_compute=theirs)])) is matches


def test_of_several_all_that_it_may_be() -> None:
    before = record(id=6, status="failed", created_at=after(-900), updated_at=after(-800))
    assert matching(SEEN, [record(), before]) == [record()]
    again = record(id=8, created_at=after(-1))
    assert matching(SEEN, [again, record(), before]) == [again, record()]


def test_hosts_that_nobody_knows_are_not_the_same() -> None:
    seen = Seen(source_compute=None, source_node=None, dest_compute=None, started_at=AT)
    assert matching(seen, [record(source_compute=None, source_node=None)]) == []

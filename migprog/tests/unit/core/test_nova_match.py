# SPDX-License-Identifier: Apache-2.0
"""Which of Nova's records are the migrations that were seen: by itself, and several together."""

from datetime import UTC, datetime, timedelta

import pytest

from migprog.core.nova_match import NovaMigration, Pairs, SeenMigration, pair

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def seen(
    name: str = "one", begin: float = 0, end: float | None = None, **values: object
) -> SeenMigration:
    """Began and ended so many seconds after AT; one under way was read last 2 s later."""
    known = {
        "uuid": name,
        "source_compute": "a",
        "source_node": "a.example.org",
        "dest_compute": None,
        "dest_node": None,
        "started_at": after(begin),
        "seen_at": after(begin + 2 if end is None else end),
        "in_progress": end is None,
    }
    return SeenMigration(**(known | values))


def record(number: int = 7, created: float = -3, **values: object) -> NovaMigration:
    known = {
        "id": number,
        "uuid": f"nova-{number}",
        "server_uuid": "6f0c8a52-2d1e-4f37-9c07-4b6a4d0c7b11",
        "migration_type": "live-migration",
        "status": "running",
        "user_id": "admin",
        "project_id": "admins",
        "source_compute": "a",
        "source_node": "a.example.org",
        "dest_compute": "b",
        "dest_node": "b.example.org",
        "dest_host": None,
        "old_instance_type_id": 1,
        "new_instance_type_id": 1,
        "created_at": after(created),
        "updated_at": after(created + 2),
    }
    return NovaMigration(**(known | values))


def ended(number: int, created: float, at: float, status: str = "cancelled") -> NovaMigration:
    return record(number, created, status=status, updated_at=after(at))


def is_known(each: SeenMigration, its: NovaMigration) -> bool:
    """Whether it may be the only record that there is."""
    pairs = pair([each], [its])
    return bool(pairs.named or pairs.ambiguous)


@pytest.mark.parametrize(
    ("values", "matches"),
    [
        ({}, True),
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
        # Nova says "running" before libvirt begins.
        ({"status": "queued"}, False),
        ({"status": "preparing"}, False),
        ({"status": "running (post-copy)"}, True),
        # It ended after this one ran, or before that.
        ({"status": "completed", "updated_at": after(60)}, True),
        ({"status": "completed", "updated_at": after(-2)}, True),
        ({"status": "completed", "updated_at": after(-4)}, False),
        ({"status": "error", "updated_at": after(-600)}, False),
        ({"status": "running", "updated_at": after(-600)}, True),
        ({"status": "cancelled", "updated_at": None}, True),
    ],
)
def test_records_that_may_match(values: dict[str, object], matches: bool) -> None:
    assert is_known(seen(), record(**values)) is matches


@pytest.mark.parametrize(
    ("ours", "theirs", "matches"),
    [
        (("b", "b"), ("b", "x"), True),
        (("b", "b"), ("c", "b"), True),
        (("b", "b"), ("c", "c"), False),
        ((None, None), ("c", "c"), True),
        (("b", "b"), (None, None), True),
    ],
)
def test_the_destination_where_both_know_it(
    ours: tuple[str | None, ...], theirs: tuple[str | None, ...], matches: bool
) -> None:
    there = seen(dest_compute=ours[0], dest_node=ours[1])
    assert is_known(there, record(dest_compute=theirs[0], dest_node=theirs[1])) is matches


def test_unknown_hosts_do_not_match() -> None:
    nowhere = seen(source_compute=None, source_node=None)
    assert not is_known(nowhere, record(source_compute=None, source_node=None))


def numbers(pairs: Pairs) -> dict[str, int | None]:
    """By our names the numbers of Nova's records, None where they are ambiguous."""
    return dict.fromkeys(pairs.ambiguous) | {ours: it.id for ours, it in pairs.named.items()}


def test_only_possible_record_matches() -> None:
    long_ago = ended(6, -900, -800, "failed")
    assert numbers(pair([seen()], [record(), long_ago])) == {"one": 7}
    assert numbers(pair([seen()], [long_ago])) == {}
    assert numbers(pair([seen()], [])) == numbers(pair([], [record()])) == {}


def test_two_attempts_within_seconds_match_records_in_order() -> None:
    """Nova was asked for neither before: it was away."""
    both = [seen("first", 0, 2), seen("second", 6)]
    theirs = [record(8, 4), ended(7, -3, 3)]
    assert numbers(pair(both, theirs)) == {"first": 7, "second": 8}


@pytest.mark.parametrize("first", [7, None])
def test_a_record_that_an_earlier_one_has_is_not_the_next_ones(first: int | None) -> None:
    before = seen("first", 0, 2, nova_uuid=first and f"nova-{first}")
    theirs = [record(8, 4), ended(7, -3, 3)]
    # The second by itself could still be either: clocks differ by as much.
    assert numbers(pair([seen("second", 6)], theirs)) == {"second": None}
    assert numbers(pair([before, seen("second", 6)], theirs))["second"] == 8


def test_ended_record_does_not_match_a_running_migration() -> None:
    """An attempt that Nova gave up before libvirt began, and then one of somebody else's."""
    theirs = [ended(7, -10, -2, "error")]
    assert numbers(pair([seen()], theirs)) == {"one": None}
    # Until it has run for longer than clocks differ.
    assert numbers(pair([seen(seen_at=after(4))], theirs)) == {}
    # One that failed as soon may be the one: Nova's end comes after libvirt's.
    assert numbers(pair([seen(end=1)], [ended(7, -3, 2, "error")])) == {"one": 7}


def test_early_failure_is_distinguished_from_the_next_by_time() -> None:
    theirs = [record(8, -1), ended(7, -10, -2, "error")]
    assert numbers(pair([seen(seen_at=after(1))], theirs)) == {"one": None}
    assert numbers(pair([seen(seen_at=after(4))], theirs)) == {"one": 8}


def test_two_migrations_and_one_record_are_ambiguous() -> None:
    twice = [seen("first", 0, 3), seen("second", 1, 3)]
    assert numbers(pair(twice, [ended(7, -3, 4)])) == {"first": None, "second": None}


def test_ambiguous_record_does_not_affect_others() -> None:
    twice = [seen("first", 0, 3), seen("second", 1, 3)]
    theirs = [ended(7, -3, 4), record(8, 50)]
    found = numbers(pair([*twice, seen("third", 60)], theirs))
    assert found == {"first": None, "second": None, "third": 8}


def test_unended_record_is_over_once_there_is_a_newer_one() -> None:
    stale = record(5, -9000, updated_at=after(-8000))
    assert numbers(pair([seen()], [stale, record()])) == {"one": None}
    assert numbers(pair([seen(seen_at=after(3))], [stale, record()])) == {"one": 7}
    before = seen("before", -8990, -8000, nova_uuid="nova-5")
    assert numbers(pair([before, seen()], [stale, record()])) == {"one": 7}


def test_to_and_fro() -> None:
    there = seen("there", 0, 20)
    back = seen("back", 30, source_compute="b", source_node="b.example.org")
    hosts = {"source_compute": "b", "source_node": "b.example.org", "dest_compute": "a"}
    theirs = [record(8, 27, **hosts), ended(7, -3, 22, "completed")]
    assert numbers(pair([back, there], theirs)) == {"there": 7, "back": 8}

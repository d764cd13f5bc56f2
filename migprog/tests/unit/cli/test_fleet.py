# SPDX-License-Identifier: Apache-2.0
import random

from migprog.cli import fleet, queries, text
from migprog.cli.fleet import Fleet
from migprog.cli.record import Trouble
from migprog.tests.unit.cli.records import NOW, ended, record, stuck


def test_order_is_by_trouble_then_by_age() -> None:
    wanted = [
        stuck(1, verdict="post-copy-paused"),
        stuck(2, verdict="stalled"),
        stuck(3, started_at=text.instant(NOW - 100)),
        stuck(4),
        stuck(5, stale=True),
        record(6, stale=True),
        ended(7, "failed"),
        record(8, advice=[{"action": "post-copy"}]),
        record(9, started_at=text.instant(NOW - 100)),
        record(10),
        ended(11),
    ]
    mixed = random.Random(7).sample(wanted, len(wanted))
    assert [each["id"] for each in Fleet.of(mixed).records] == list(range(1, 12))


def test_totals_count_what_is_in_trouble_and_what_moves() -> None:
    totals = fleet.totals([record(1), stuck(2), record(3, stale=True), ended(4, "failed")])
    assert (totals.in_progress, totals.ended, totals.in_trouble, totals.stale) == (3, 1, 1, 1)
    assert totals.by_trouble[Trouble.NOT_CONVERGING] == 1
    # What a stale one sends is not known.
    assert totals.sent_bytes_per_second == 2 * 117 * 2**20


def test_last_end_is_known_where_all_ends_are() -> None:
    later = record(2, ends_at=text.instant(NOW + 300))
    assert fleet.totals([record(1), later]).last_ends_at == NOW + 300
    assert fleet.totals([record(1), stuck(2)]).last_ends_at is None
    assert fleet.totals([]).last_ends_at is None


def test_ended_migrations_leave_the_view_after_a_minute() -> None:
    seen = [(NOW - 70, ended(1)), (NOW - 50, ended(2))]
    assert fleet.still_shown(seen, NOW) == seen[1:]
    assert len(fleet.still_shown([(NOW, ended(1))] * 5000, NOW)) == 1000


def test_sorting_by_a_key_puts_unknown_values_last_in_both_directions() -> None:
    records = [record(1, percent=None), record(2, percent=10), record(3, percent=90)]
    for direction, wanted in ((None, [2, 3, 1]), ("asc", [2, 3, 1]), ("desc", [3, 2, 1])):
        found = queries.in_order(records, "percent", direction)
        assert [each["id"] for each in found] == wanted


def test_advice_is_listed_with_its_server_and_the_worst_first() -> None:
    entry = {"action": "post-copy", "at": text.instant(NOW)}
    found = queries.with_advice([record(1, advice=[entry]), stuck(2, advice=[entry, entry])])
    assert [each["server_name"] for each in found] == ["server-2", "server-2", "server-1"]

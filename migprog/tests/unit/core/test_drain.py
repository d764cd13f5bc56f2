# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core import drain
from migprog.core.drain import Completed, EtaReason, Forecast, TransferRate, UnderWay

GIB = 2**30
END = "not known when a migration will end"
NOW = 10_000.0


def completed(*ends: float, took: float = 100.0, memory_bytes: int | None = GIB) -> list[Completed]:
    return [Completed(end - took, end, memory_bytes) for end in ends]


def test_transfer_rate_counts_from_the_first_start_until_now() -> None:
    assert drain.measure_rate(completed(9_700, 9_800), NOW) == TransferRate(
        2, 400.0, 2 / 400, 2 * GIB / 400
    )


def test_a_host_that_has_stopped_draining_gets_slower() -> None:
    rates = [drain.measure_rate(completed(9_700, 9_800), NOW + later) for later in (0, 400, 1200)]
    assert [each.servers_per_second for each in rates] == [2 / 400, 2 / 800, 2 / 1600]


def test_old_migrations_do_not_count() -> None:
    assert drain.measure_rate([], NOW) is None
    assert drain.measure_rate(completed(NOW - 3600), NOW) is None
    # A clock that is ahead of ours.
    assert drain.measure_rate(completed(NOW + 1), NOW) is None
    # One of long ago that took until now counts with the window alone.
    assert drain.measure_rate(completed(9_900, took=9_000), NOW) == TransferRate(
        1, 3600.0, 1 / 3600, GIB / 3600
    )
    assert drain.measure_rate([*completed(9_900), *completed(100)], NOW).migrations == 1


def test_a_size_that_is_not_known_leaves_the_servers() -> None:
    rate = drain.measure_rate([*completed(9_900), *completed(9_900, memory_bytes=None)], NOW)
    assert rate == TransferRate(2, 200.0, 2 / 200, None)


FOUR = TransferRate(4, 400.0, 4 / 400, 8 * GIB / 400)


def test_drain_estimate_is_by_bytes_and_its_range_by_servers() -> None:
    """Ten servers of 4 GiB each; those that went had 2: 2,000 seconds by bytes, 1,000 by number."""
    told = drain.forecast(10, 40 * GIB, [], FOUR)
    chance = 1.28 / 2
    assert told == Forecast(
        EtaReason.TRANSFER_RATE,
        "at the rate of 4 migration(s) in 400 s",
        2000.0,
        pytest.approx(1000 / (1 + chance)),
        pytest.approx(2000 / (1 - chance)),
    )


def test_migrations_in_progress_count_half() -> None:
    """Of eight servers four wait, and two whole ones are left of those under way."""
    half = UnderWay(memory_bytes=4 * GIB, percent=50, eta_seconds=10.0)
    told = drain.forecast(8, 32 * GIB, [half] * 4, FOUR)
    assert told.eta_seconds == pytest.approx((16 + 8) / (8 / 400))
    assert told.eta_low_seconds == pytest.approx((4 + 2) * 100 / 1.64)


def test_host_is_not_empty_before_the_last_migration_ends() -> None:
    slow = UnderWay(
        memory_bytes=GIB, percent=0, eta_seconds=9e3, eta_low_seconds=8e3, eta_high_seconds=1e5
    )
    told = drain.forecast(2, 2 * GIB, [slow], FOUR)
    assert (told.eta_seconds, told.eta_low_seconds, told.eta_high_seconds) == (9e3, 8e3, 1e5)


def test_the_last_ones_need_no_rate() -> None:
    first = UnderWay(eta_seconds=5.0, eta_low_seconds=4.0, eta_high_seconds=60.0)
    second = UnderWay(eta_seconds=50.0)
    for rate in (None, FOUR):
        told = drain.forecast(2, None, [first, second], rate)
        assert told == Forecast(
            EtaReason.LAST_MIGRATIONS, "the migrations in progress are the last", 50.0, 50.0, 60.0
        )
    # More are on their way than a heartbeat of some seconds ago has counted.
    assert drain.forecast(1, None, [first, second], None).eta_seconds == 50.0


def test_an_empty_host_is_empty() -> None:
    assert drain.forecast(0, 0, [], None) == Forecast(
        EtaReason.HOST_EMPTY, "the host is empty", 0.0, 0.0, 0.0
    )


def test_one_alone_makes_no_upper_end() -> None:
    one = TransferRate(1, 100.0, 1 / 100, None)
    told = drain.forecast(3, None, [], one)
    assert (told.eta_seconds, told.eta_high_seconds) == (300.0, None)
    assert told.eta_low_seconds == pytest.approx(300 / 2.28)


@pytest.mark.parametrize(
    ("servers", "under_way", "rate", "reason", "message"),
    [
        (None, [], FOUR, EtaReason.SERVERS_UNKNOWN, "does not report how many"),
        (
            5,
            [UnderWay(eta_seconds=1.0), UnderWay()],
            FOUR,
            EtaReason.MIGRATION_END_UNKNOWN,
            "not known when a migration will end",
        ),
        (
            1,
            [UnderWay()],
            FOUR,
            EtaReason.MIGRATION_END_UNKNOWN,
            "not known when a migration will end",
        ),
        (5, [], None, EtaReason.NO_RECENT_MIGRATION, "no migration off this host has"),
    ],
)
def test_unknown_drain_has_no_estimate(
    servers: int | None,
    under_way: list[UnderWay],
    rate: TransferRate | None,
    reason: EtaReason,
    message: str,
) -> None:
    told = drain.forecast(servers, 5 * GIB, under_way, rate)
    assert (told.eta_seconds, told.eta_low_seconds, told.eta_high_seconds) == (None, None, None)
    assert (told.eta_reason, message in told.eta_message) == (reason, True)


def test_remaining_time_decreases_and_never_reaches_zero_before_the_end() -> None:
    told = UnderWay(eta_seconds=10.0, eta_low_seconds=8.0, eta_high_seconds=20.0)
    assert told.after(4.0) == UnderWay(eta_seconds=6.0, eta_low_seconds=4.0, eta_high_seconds=16.0)
    # It should have ended; where it is in its range is all that is known.
    late = told.after(14.0)
    assert (late.eta_low_seconds, late.eta_seconds, late.eta_high_seconds) == (0.0, 3.0, 6.0)
    assert told.after(21.0) == UnderWay()
    # By the clock of another controller.
    assert told.after(-3600.0) == told
    assert UnderWay(eta_seconds=10.0).after(11.0) == UnderWay()
    assert UnderWay().after(11.0) == UnderWay()


def test_the_reason_names_the_worst_that_is_under_way() -> None:
    under_way = [
        UnderWay(server_uuid="a", verdict="copying"),
        UnderWay(server_uuid="b", verdict="stalled"),
        UnderWay(server_uuid="c", verdict="copying", eta_seconds=3.0),
    ]
    assert drain.forecast(3, None, under_way, FOUR) == Forecast(
        EtaReason.MIGRATION_END_UNKNOWN,
        "it is not known when the migration of b (stalled) will end, nor when 1 more will",
    )


def test_drain_estimate_is_by_servers_if_bytes_are_unknown() -> None:
    without = UnderWay(percent=0, eta_seconds=1.0)
    for memory_bytes, under_way in ((None, []), (5 * GIB, [without])):
        told = drain.forecast(5, memory_bytes, under_way, FOUR)
        assert told.eta_seconds == pytest.approx(500.0)

# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.forecast import completion_time
from migprog.core.forecast.completion_time import CompletionTimes, ResentShares, resent_share
from migprog.core.forecast.job_sample import Sample

MIB = 2**20


def times(*seen):
    known = CompletionTimes()
    for seconds, destination in seen:
        known = known.after(seconds, destination)
    return known


def test_a_pair_of_hosts_has_its_own_completion_time_once_it_has_shown_several():
    slow = [(3.0, "far")] * 2
    near = [(0.3, "near")] * 6
    assert times(*slow, *near).expected_seconds("far") == 0.3
    known = times(*slow, *near, (3.2, "far"))
    assert known.expected_seconds("far") == 3.0
    assert known.expected_seconds("near") == 0.3
    assert known.expected_seconds("never seen") == known.expected_seconds() == 0.3


def test_one_odd_migration_to_a_destination_does_not_change_what_is_expected():
    assert times(*[(0.3, "b")] * 3, (40.0, "b")).expected_seconds("b") == pytest.approx(0.3)


def test_destinations_and_servers_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(completion_time, "MAX_DESTINATIONS", 3)
    known = times(*((1.0, f"host-{number}") for number in range(10)))
    assert set(known.by_destination) == {"host-7", "host-8", "host-9"}
    monkeypatch.setattr(completion_time, "MAX_SERVERS", 2)
    shares = ResentShares().after("a", 0.1).after("b", 0.2).after("a", 0.3).after("c", 0.4)
    assert set(shares.by_server) == {"a", "c"}


def test_a_server_is_expected_to_send_again_the_median_of_its_latest_migrations():
    shares = ResentShares()
    assert shares.expected("a") is None
    for share in (0.0, 0.4, 0.5, 9.0):
        shares = shares.after("a", share)
    assert shares.expected("a") == 0.5


def final(normal_mib, zero_mib, downtime_seconds=0.1, total_mib=256):
    return Sample(
        at=0.0,
        memory_total_bytes=total_mib * MIB,
        memory_copied_bytes=(normal_mib + zero_mib) * MIB,
        memory_zero_bytes=zero_mib * MIB,
        downtime_seconds=downtime_seconds,
    )


@pytest.mark.parametrize(
    ("statistics", "share"),
    [
        (final(200, 56), 0.0),
        (final(300, 56), 0.5),
        # Pages that were compressed by threads are in none of the counters.
        (final(20, 56), None),
        # Somebody paused the guest: it sent less again than it would have.
        (final(200, 56, downtime_seconds=5.0), None),
        (Sample(at=0.0), None),
    ],
)
def test_resent_share_is_the_pages_beyond_one_iteration(statistics, share):
    assert resent_share(statistics) == pytest.approx(share)

# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.forecast import resent
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.resent import Resent, ResentShares, resent_share

MIB = 2**20


def shares(*seen):
    known = ResentShares()
    for server, share in seen:
        known = known.after(server, share)
    return known


def test_a_server_is_expected_to_send_again_the_median_of_its_latest_migrations():
    known = shares(("a", 0.0), ("a", 0.4), ("a", 0.5), ("a", 9.0))
    assert known.expected("a") == Resent.known(0.5)


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


def test_a_server_that_has_not_migrated_is_expected_to_do_as_others():
    others = [("a", 0.02), ("b", 0.04), ("a", 0.02), ("c", 0.01)]
    assert shares(*others).expected("new") == Resent(0.01, 0.02, 0.04)
    assert shares(*others).expected("new").is_known
    mixed = shares(*others, ("d", 0.5)).expected("new")
    assert (mixed.least, mixed.most, mixed.is_known) == (0.01, 0.5, False)


def test_few_servers_do_not_predict_another():
    assert shares(*[("a", 0.0)] * 5, ("b", 0.0)).expected("new") == Resent()


def test_of_others_only_the_latest_count():
    known = shares(("busy", 0.5), *((f"quiet-{number}", 0.0) for number in range(9)))
    assert known.expected("new") == Resent.known(0.0)


def test_servers_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(resent, "MAX_SERVERS", 2)
    known = shares(("a", 0.1), ("b", 0.2), ("a", 0.3), ("c", 0.4))
    assert set(known.by_server) == {"a", "c"}

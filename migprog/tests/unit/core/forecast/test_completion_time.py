# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.forecast import completion_time
from migprog.core.forecast.completion_time import CompletionTimes


def times(*seen):
    known = CompletionTimes()
    for seconds, destination in seen:
        known = known.after(seconds, destination)
    return known


def test_pair_of_hosts_has_its_own_completion_time_after_several():
    slow = [(3.0, "far")] * 2
    near = [(0.3, "near")] * 6
    assert times(*slow, *near).expected_seconds("far") == 0.3
    known = times(*slow, *near, (3.2, "far"))
    assert known.expected_seconds("far") == 3.0
    assert known.expected_seconds("near") == 0.3
    assert known.expected_seconds("never seen") == known.expected_seconds() == 0.3


def test_one_odd_migration_to_a_destination_does_not_change_what_is_expected():
    assert times(*[(0.3, "b")] * 3, (40.0, "b")).expected_seconds("b") == pytest.approx(0.3)


def test_destinations_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(completion_time, "MAX_DESTINATIONS", 3)
    known = times(*((1.0, f"host-{number}") for number in range(10)))
    assert set(known.by_destination) == {"host-7", "host-8", "host-9"}

# SPDX-License-Identifier: Apache-2.0
"""What a migration's end adds to the histograms of its outcome, and to no other."""

import dataclasses

import pytest

from migprog.core.status import ENDED, Status
from migprog.metrics import REGISTRY, ended
from migprog.tests import stores

NAMES = ("duration_seconds", "downtime_seconds", "iterations", "transferred_bytes")
END = dataclasses.replace(
    stores.report(),
    status=Status.COMPLETED,
    total_seconds=40.0,
    downtime_seconds=0.25,
    memory_iteration=4,
    memory_processed_bytes=3 * 2**30,
    disk_processed_bytes=2**30,
)


def sums(end):
    """The sum that an end adds, by histogram; None where it counts nothing."""

    def read():
        return {
            (name, kind, status): REGISTRY.get_sample_value(
                f"migprog_migration_{name}_{kind}", {"status": status}
            )
            for name in NAMES
            for kind in ("count", "sum")
            for status in ENDED
        }

    before = read()
    ended.observe(end)
    added = {key: now - before[key] for key, now in read().items()}
    others = {key: value for key, value in added.items() if key[2] != end.status}
    assert not any(others.values())
    assert all(added[name, "count", end.status] in (0, 1) for name in NAMES)
    return {
        name: added[name, "sum", end.status] if added[name, "count", end.status] else None
        for name in NAMES
    }


def test_completed_migration_adds_to_each_histogram():
    assert sums(END) == {
        "duration_seconds": 40.0,
        "downtime_seconds": 0.25,
        "iterations": 4,
        "transferred_bytes": 4 * 2**30,
    }


@pytest.mark.parametrize("status", sorted(ENDED))
def test_end_of_which_little_is_known_adds_what_is_known(status):
    end = dataclasses.replace(
        stores.report(), status=status, started_at=100.0, ended_at=130.0, memory_iteration=None
    )
    assert sums(end) == dict.fromkeys(NAMES) | {"duration_seconds": 30.0}


def test_end_before_its_start_has_lasted_no_time():
    end = dataclasses.replace(
        stores.report(), status=Status.FAILED, started_at=100.0, ended_at=99.0
    )
    assert sums(end)["duration_seconds"] == 0.0

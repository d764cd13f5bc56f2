# SPDX-License-Identifier: Apache-2.0
import math
import random
import subprocess
import sys

import pytest

from lab.soak import growth
from lab.soak.growth import Point
from lab.soak.usage import LIMITS, Series

_LIMIT_KIB = 256.0


def series(per_migration_kib, noise_kib=100.0, count=200, seed=1):
    """As resident memory goes: in whole pages, with some noise."""
    rng = random.Random(seed)
    return [
        Point(
            25 * n, 4 * round((70_000 + 25 * n * per_migration_kib + rng.gauss(0, noise_kib)) / 4)
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_flat_series_does_not_grow(seed):
    assert not growth.trend(series(0.0, seed=seed), _LIMIT_KIB).grows


@pytest.mark.parametrize("per_migration_kib", [0.5, 1.0, 8.0])
def test_a_list_that_grows_with_each_migration_is_found(per_migration_kib):
    found = growth.trend(series(per_migration_kib), _LIMIT_KIB)
    assert found.grows
    assert found.per_thousand == pytest.approx(1000 * per_migration_kib, rel=0.1)


def test_less_than_the_limit_is_no_growth():
    found = growth.trend(series(0.2, noise_kib=0.0), _LIMIT_KIB)
    assert found.per_thousand == pytest.approx(200, abs=2)
    assert not found.grows


def test_a_leak_that_noise_hides_is_not_called_one():
    points = series(0.5, noise_kib=5000.0)
    found = growth.trend(points, _LIMIT_KIB)
    assert not found.grows
    assert growth.least_found(points, found) > 500


@pytest.mark.parametrize("kib", [1024, 4096])
@pytest.mark.parametrize("at", range(20, 200, 20))
def test_one_step_is_no_growth(at, kib):
    """As when an allocator takes one more arena."""
    points = [
        Point(each.migrations, each.value + (kib if number >= at else 0))
        for number, each in enumerate(series(0.0, noise_kib=20.0))
    ]
    assert not growth.trend(points, _LIMIT_KIB).grows


def test_memory_that_becomes_level_does_not_grow():
    """As of the threads of a new process: 4 MiB, most of it in the first half of the run."""
    points = [
        Point(each.migrations, each.value + 4096 * (1 - math.exp(-each.migrations / 1000)))
        for each in series(0.0, noise_kib=20.0)
    ]
    found = growth.trend(points, _LIMIT_KIB)
    assert found.per_thousand > _LIMIT_KIB > found.least_per_thousand
    assert not found.grows


def test_a_descriptor_kept_now_and_then_is_found():
    """One in a hundred migrations, among as many as are open anyhow."""
    rng = random.Random(3)
    points = [Point(25 * n, 14 + rng.randrange(4) + 25 * n // 100) for n in range(200)]
    assert growth.trend(points, 2.0).grows
    without = [Point(p.migrations, p.value - p.migrations // 100) for p in points]
    assert not growth.trend(without, 2.0).grows


def test_wild_points_change_nothing():
    points = series(0.0)
    for number in range(0, len(points), 5):
        points[number] = Point(points[number].migrations, 1e6)
    assert not growth.trend(points, _LIMIT_KIB).grows


def test_too_little_is_not_judged():
    with pytest.raises(ValueError, match="9 points are too few: 10 are needed"):
        growth.trend(series(0.0, count=9), _LIMIT_KIB)
    with pytest.raises(ValueError, match="no migration ended"):
        growth.trend([Point(5, 1.0)] * 20, _LIMIT_KIB)


_LEAKS = """
import os, sys
kept = []
for line in sys.stdin:
    leaked_bytes, descriptors = map(int, line.split())
    kept.append(bytearray(b"x" * leaked_bytes))
    kept += [os.dup(1) for _ in range(descriptors)]
    print(flush=True)
"""


@pytest.mark.parametrize(
    ("leak", "grows"),
    [("0 0", set()), ("4096 0", {"rss_kib"}), ("0 1", {"descriptors"})],
)
def test_of_a_real_process(leak, grows):
    child = subprocess.Popen(
        [sys.executable, "-c", _LEAKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        used = Series(child.pid)
        for number in range(600):
            child.stdin.write(f"{leak}\n")
            child.stdin.flush()
            child.stdout.readline()
            if number >= 100 and number % 20 == 0:
                used.look(number)
        child.stdin.close()
    found = {name for name in LIMITS if growth.trend(used.points[name], LIMITS[name]).grows}
    assert found == grows

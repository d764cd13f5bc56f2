# SPDX-License-Identifier: Apache-2.0
"""The page's benchmark runs, and prints what can be true."""

import re

import pytest

from migprog.tests.functional.test_benchmarks import run

pytestmark = [pytest.mark.functional, pytest.mark.long]


def test_pages_cost() -> None:
    lines = run("page.py", "--migrations=60", "--seconds=5", "--laps=2", "--news=20")
    cost = re.fullmatch(
        r"60 migrations, (\d+) news in \d+ s: the page takes ([\d.]+) % of a core, "
        r"all of Chromium ([\d.]+) %",
        lines[0],
    )
    assert cost, lines
    news, share, whole = map(float, cost.groups())
    assert news >= 1
    assert 0 < share <= whole < 200
    assert re.fullmatch(
        r"4 clicks: \d+ ms in the median, \d+ ms at 95 %, \d+ ms the slowest", lines[1]
    )
    sizes = [float(size) for size in re.findall(r"\d+\.\d", lines[2])]
    assert len(sizes) == 4
    assert all(1 < size < 200 for size in sizes)

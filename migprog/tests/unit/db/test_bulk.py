# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from migprog.core.advice_entry import MAX_ADVICE
from migprog.db import bulk
from migprog.objects import advice
from migprog.tests.store_cases.advice import LARGEST

NAMES = ("id", "text")


@pytest.mark.parametrize(
    ("texts", "sizes"),
    [
        ([], []),
        (["x" * 200] * 500, [500]),
        ([None] * 501, [500, 1]),
        (["x" * 60_000] * 5, [2, 2, 1]),
        (["x" * 200_000, "x", "x" * 200_000], [1, 1, 1]),
    ],
)
def test_rows_are_written_in_parts_that_fit_into_a_packet(texts, sizes):
    rows: list[dict[str, Any]] = [{"id": n, "text": text} for n, text in enumerate(texts)]
    parts = [part for part in bulk.in_packets(rows, NAMES) if part[0]]
    assert [text for _written, bound in parts for text in bound] == [t for t in texts if t]
    assert [row for written, _bound in parts for row in written] == [
        f"({number}, {'%s' if text else 'NULL'})" for number, text in enumerate(texts)
    ]
    assert [len(written) for written, _bound in parts] == sizes


def test_longest_advice_fits_into_its_column():
    stored = advice.to_store((LARGEST,) * MAX_ADVICE)
    assert stored is not None
    assert len(stored.encode()) < 2**16
    assert advice.from_store(stored) == (LARGEST,) * MAX_ADVICE

# SPDX-License-Identifier: Apache-2.0
"""How a forecast from before the start turned out."""

import pytest

from migprog.core.forecast import before_check
from migprog.core.forecast.before_check import BeforeCheck, Outcome


@pytest.mark.parametrize(
    ("converges", "high", "total", "completed", "helped", "expected"),
    [
        ("yes", 20.0, 15.0, True, False, Outcome.IN_RANGE),
        ("yes", 20.0, 21.0, True, False, Outcome.OUT_OF_RANGE),
        ("yes", 20.0, 9.0, True, False, Outcome.OUT_OF_RANGE),
        ("unknown", None, 15.0, True, False, Outcome.UNDECIDED),
        ("no", None, 15.0, True, False, Outcome.WRONG),
        ("no", None, 15.0, True, True, Outcome.NOT_COMPARABLE),
        ("no", None, 15.0, False, False, Outcome.NOT_COMPARABLE),
        ("yes", 20.0, None, True, False, Outcome.NOT_COMPARABLE),
    ],
)
def test_outcome_of_a_forecast(converges, high, total, completed, helped, expected):
    low = None if converges == "no" else 10.0
    found = before_check.outcome(
        converges, low, high, total_seconds=total, is_completed=completed, is_helped=helped
    )
    assert found is expected


def test_error_is_how_much_longer_was_forecast():
    check = BeforeCheck(1.0, "yes", 12.0, 10.0, 20.0, Outcome.IN_RANGE)
    assert check.error_seconds(15.0) == -3.0
    assert check.error_seconds(None) is None
    assert BeforeCheck(1.0, "no", None, None, None, Outcome.WRONG).error_seconds(15.0) is None
    not_compared = BeforeCheck(1.0, "yes", 12.0, 10.0, 20.0, Outcome.NOT_COMPARABLE)
    assert not_compared.error_seconds(15.0) is None

# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 ms"),
        (0.05, "50 ms"),
        (0.3, "300 ms"),
        (0.9996, "1.0 s"),
        (2.0, "2.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (192.0, "3 min 12 s"),
        (3599.7, "1 h 00 min"),
        (3840.0, "1 h 04 min"),
        (360_000.0, "100 h 00 min"),
    ],
)
def test_duration_has_two_or_three_digits_that_matter(seconds: float, said: str) -> None:
    assert duration.describe(seconds) == said

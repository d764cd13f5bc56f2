# SPDX-License-Identifier: Apache-2.0
"""The median is that of the standard library."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from migprog.core.median import median


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_is_the_one_of_the_standard_library(values):
    assert median(values) == statistics.median(values)

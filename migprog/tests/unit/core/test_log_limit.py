# SPDX-License-Identifier: Apache-2.0
from migprog.core.log_limit import LogLimit


def test_one_line_of_a_key_in_an_interval_and_how_many_were_held_back():
    lines = LogLimit(interval_seconds=60.0, most=9)
    said = [lines.held_back("a", now) for now in (0, 1, 59, 60, 61, 119, 120, 600)]
    assert said == [0, None, None, 2, None, None, 2, 0]


def test_keys_have_lines_of_their_own_up_to_a_number():
    lines = LogLimit(interval_seconds=60.0, most=3)
    assert [lines.held_back(key, 0) for key in range(5)] == [0, 0, 0, None, None]
    assert [lines.held_back(key, 61) for key in (9, 3)] == [0, 0]


def test_number_of_remembered_lines_is_limited():
    lines = LogLimit(interval_seconds=60.0, most=10**6)
    said = [lines.held_back(key, 0) for key in range(5000)]
    assert said.count(0) == 1000
    assert lines.held_back(4999, 200) == 0

# SPDX-License-Identifier: Apache-2.0
"""Guests that are measured and migrate by computation: the figures of many at once."""

import random
from dataclasses import replace

import pytest

from lab.before import computed, table
from lab.before.guests import quiet
from lab.corpus.scenario import steady


def test_figures_of_many_guests_are_within_their_limits():
    tried = computed.try_all(random.Random(17), 210)
    found = table.figures(tried, seed=17)
    assert found["guests"] > 190
    assert table.is_right(found), table.text(found)


def test_quiet_guest_takes_its_memory_by_the_bandwidth():
    seen = computed.migrate(random.Random(1), quiet(20, 5.0))
    assert seen.completed
    assert seen.total_seconds == pytest.approx(5.5, abs=0.5)


def test_guest_at_half_of_the_bandwidth_takes_twice_as_long():
    half = replace(quiet(20, 5.0), segments=steady(10.0))
    seen = computed.migrate(random.Random(1), half)
    assert seen.total_seconds == pytest.approx(10.5, abs=0.8)


def test_guest_above_the_bandwidth_does_not_end():
    above = replace(quiet(20, 5.0), segments=steady(30.0))
    assert not computed.migrate(random.Random(1), above).completed

# SPDX-License-Identifier: Apache-2.0
"""Whatever the endpoint is told, it answers, and what it keeps can be read."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migprog.tests import stores
from migprog.tests.fixtures import hostile

_SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    store = stores.ready(f"sqlite:///{tmp_path_factory.mktemp('store')}/migprog.sqlite")
    with hostile.endpoint(store) as endpoint:
        yield endpoint


@_SETTINGS
@given(
    hostile.ANYTHING
    | st.dictionaries(
        st.sampled_from(["host", "node", "address", "reports", "arrivals", "agent"]),
        hostile.ANYTHING,
    )
)
def test_anything(endpoint, wire):
    endpoint.take(wire)
    endpoint.read_back()


@_SETTINGS
@given(hostile.valid())
def test_every_extreme_is_stored(endpoint, wire):
    """What keeps the rules is refused by nobody, and breaks nothing."""
    assert endpoint.take(wire).refused == {}
    endpoint.read_back()


@_SETTINGS
@given(hostile.spoilt())
def test_nearly_valid(endpoint, wire):
    endpoint.take(wire)
    endpoint.read_back()


@_SETTINGS
@given(hostile.spoilt_rows())
def test_what_is_good_is_stored_beside_what_is_not(endpoint, wire):
    endpoint.take_good_beside(wire)
    endpoint.read_back()

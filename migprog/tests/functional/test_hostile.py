# SPDX-License-Identifier: Apache-2.0
"""Whatever the endpoint is told, real databases take what it keeps, and give it back."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from migprog.tests import stores
from migprog.tests.fixtures import hostile

pytestmark = pytest.mark.functional

_SETTINGS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def endpoint(request):
    store = stores.ready(request.getfixturevalue(request.param))
    with hostile.endpoint(store) as endpoint:
        yield endpoint
    store.close()


@_SETTINGS
@given(hostile.valid())
def test_every_extreme_is_stored(endpoint, wire):
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

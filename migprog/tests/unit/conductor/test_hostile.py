# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.tests import stores
from migprog.tests.fixtures import hostile
from migprog.tests.store_cases.hostile import SETTINGS, Hostile


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    store = stores.ready(f"sqlite:///{tmp_path_factory.mktemp('store')}/migprog.sqlite")
    with hostile.endpoint(store) as endpoint:
        yield endpoint


class TestHostile(Hostile):
    @SETTINGS
    @given(
        hostile.ANYTHING
        | st.dictionaries(
            st.sampled_from(["host", "node", "address", "reports", "arrivals", "agent"]),
            hostile.ANYTHING,
        )
    )
    def test_anything(self, endpoint, wire):
        endpoint.take(wire)
        endpoint.read_back()

# SPDX-License-Identifier: Apache-2.0
"""Whatever the endpoint receives, real databases take what it accepts, and return it."""

import pytest

from migprog.tests import stores
from migprog.tests.fixtures import hostile
from migprog.tests.store_cases.hostile import Hostile

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def endpoint(request):
    store = stores.ready(request.getfixturevalue(request.param))
    with hostile.endpoint(store) as endpoint:
        yield endpoint
    store.close()


class TestHostile(Hostile):
    pass

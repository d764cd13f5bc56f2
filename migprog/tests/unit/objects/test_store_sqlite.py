# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.tests import stores
from migprog.tests.store_cases import Cases


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stores.ready(f"sqlite:///{tmp_path_factory.mktemp('store')}/migprog.sqlite")


@pytest.fixture(scope="module")
def other_store(store):
    return stores.connect(store.engine.url.render_as_string(hide_password=False))


class TestStoreOnSqlite(Cases):
    pass

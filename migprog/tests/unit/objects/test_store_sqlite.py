# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.tests import stores
from migprog.tests.store_cases import Cases
from migprog.tests.store_cases.purge import Purging


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stores.ready(f"sqlite:///{tmp_path_factory.mktemp('store')}/migprog.sqlite")


@pytest.fixture(scope="module")
def other_store(store):
    return stores.connect(store.engine.url.render_as_string(hide_password=False))


class TestStoreOnSqlite(Cases):
    pass


class TestPurgeOnSqlite(Purging):
    @pytest.fixture
    def store(self, tmp_path):
        return stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")

    @pytest.fixture
    def other_store(self, store):
        return stores.connect(store.engine.url.render_as_string(hide_password=False))

# SPDX-License-Identifier: Apache-2.0
import shutil

import pytest

from migprog.tests.functional import broker, databases, keystone
from migprog.tests.lab import Lab


@pytest.fixture(scope="session")
def lab():
    with Lab(hosts=("lab-a", "lab-b")) as lab:
        yield lab


@pytest.fixture(scope="session")
def rabbitmq_broker():
    with broker.rabbitmq() as running:
        yield running


@pytest.fixture(scope="session")
def rabbitmq(rabbitmq_broker):
    """Its transport URL."""
    return rabbitmq_broker.url


@pytest.fixture(scope="session")
def _keystone_made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keystone")
    keystone.make(directory)
    return directory


@pytest.fixture(scope="module")
def keystone_files(_keystone_made, tmp_path_factory):
    """What a Keystone needs that nobody has asked anything yet: to make it takes ten seconds."""
    return shutil.copytree(_keystone_made, tmp_path_factory.mktemp("keystones") / "keystone")


@pytest.fixture(scope="session")
def mariadb_server():
    with databases.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server():
    with databases.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb(mariadb_server):
    """The URL of an empty database."""
    return mariadb_server.new_database()


@pytest.fixture(scope="module")
def postgresql(postgresql_server):
    """The URL of an empty database."""
    return postgresql_server.new_database()

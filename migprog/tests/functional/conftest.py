# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import pathlib
import shutil
import tempfile

import pytest

from lab.hosts import Lab
from lab.parts import broker, databases, keystone, processes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the programs that run beside the test have written meanwhile."""
    report = yield
    if report.failed:
        report.sections += processes.Program.wrote_since(call.start)
    return report


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
    """Made once, whichever process of pytest-xdist needs it first."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    directory = base / "keystone-made"
    with (base / "keystone-made.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            unfinished = pathlib.Path(tempfile.mkdtemp(dir=base, prefix="keystone-"))
            keystone.make(unfinished)
            unfinished.rename(directory)
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

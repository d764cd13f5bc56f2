# SPDX-License-Identifier: Apache-2.0
import fcntl
import json
import os
import pathlib
import shutil
import tempfile

import pytest

from lab.hosts import Lab
from lab.parts import broker, databases, keystone, processes
from migprog.tests import stores
from migprog.tests.fixtures.libvirt_boundary import sitecustomize as boundary
from migprog.tests.functional.test_api import serving


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the programs that run beside the test have written meanwhile."""
    report = yield
    if report.failed:
        report.sections += processes.Program.wrote_since(call.start)
    return report


@pytest.fixture(scope="session", autouse=True)
def libvirt_changes(tmp_path_factory):
    """Have this process and all that it starts record what migprog's code changes in libvirt.

    Gives a function that returns the records since its last call.
    """
    directory = tmp_path_factory.mktemp("libvirt-changes")
    os.environ[boundary.VARIABLE] = str(directory)
    paths = [str(pathlib.Path(boundary.__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    boundary.install()
    read: dict[pathlib.Path, int] = {}

    def take():
        rows: list[dict[str, object]] = []
        for path in sorted(directory.iterdir()):
            lines = path.read_text().splitlines()
            rows += map(json.loads, lines[read.get(path, 0) :])
            read[path] = len(lines)
        return rows

    return take


@pytest.fixture(autouse=True)
def _libvirt_unchanged(request, libvirt_changes):
    """No agent changes anything in libvirt by itself, but in a test that uses
    ``steering_may_act`` or ``measuring_may_act``."""
    yield
    changes = [each for each in libvirt_changes() if not boundary.is_operators(each["modules"])]
    if "measuring_may_act" in request.fixturenames:
        changes = [each for each in changes if not boundary.is_measuring(each)]
    if "steering_may_act" not in request.fixturenames:
        assert not changes, f"an agent has changed something in libvirt: {changes}"


@pytest.fixture
def steering_may_act():
    """Of a test that runs an agent with ``[steering] mode = enforce``."""


@pytest.fixture
def measuring_may_act():
    """Of a test that runs an agent with ``[compute] allow_measurements``."""


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
    """What a new Keystone needs: to make it takes ten seconds."""
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


@pytest.fixture
def store(tmp_path):
    """A store of its own for each test, on SQLite."""
    made = stores.ready(f"sqlite:///{tmp_path / 'migprog.sqlite'}")
    yield made
    made.close()


@pytest.fixture
def api(tmp_path, store):
    """The address of an API that shows what is in ``store``."""
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    with serving(tmp_path, url, "threading") as (base, _):
        yield base

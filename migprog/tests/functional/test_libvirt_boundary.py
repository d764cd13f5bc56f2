# SPDX-License-Identifier: Apache-2.0
"""What the guard of all functional tests sees of calls to libvirt: a change is never missed."""

import contextlib
import os
import subprocess
import sys
import types

import libvirt
import pytest
import requests

from lab.hosts import Guest, LabError
from lab.parts import processes
from migprog.tests.fixtures.libvirt_boundary import sitecustomize as boundary

pytestmark = pytest.mark.functional

# As an agent's module would: in a native thread, on a connection of its own.
_CODE = """
import contextlib, threading
import libvirt

def change(uri, server_uuid):
    with contextlib.closing(libvirt.open(uri)) as connection:
        domain = connection.lookupByUUIDString(server_uuid)
        domain.migrateGetMaxDowntime()
        domain.jobStats()
        domain.migrateSetMaxDowntime(400, 0)

def act(uri, server_uuid):
    thread = threading.Thread(target=change, args=(uri, server_uuid))
    thread.start()
    thread.join()
"""
_PROGRAM = """
import sys, types
module = types.ModuleType({name!r})
exec(sys.argv[1], module.__dict__)
module.act(*sys.argv[2:])
"""
_STEERING = "migprog.compute.steering"


@pytest.fixture
def migrating(lab):
    """A server that is on its way for longer than this, and its source."""
    source, destination = lab.hosts
    server = lab.start_guest(source, Guest(name="boundary", memory_mib=64, fill_mib=48))
    migration = lab.migrate(server, source, destination, bandwidth_mib_s=2)
    migration.wait_for(lambda stats: stats.get("memory_total"))
    yield source.uri, server.uuid
    with contextlib.suppress(libvirt.libvirtError, LabError):
        migration.abort()
    migration.wait()
    lab.destroy_guest(server)


def test_change_by_an_agent_in_this_process_is_seen(migrating, libvirt_changes):
    module = types.ModuleType(_STEERING)
    exec(_CODE, module.__dict__)
    module.act(*migrating)
    assert [(each["call"], each["modules"]) for each in libvirt_changes()] == [
        ("virDomainMigrateSetMaxDowntime", [_STEERING])
    ]


def test_change_by_an_agent_in_a_process_is_seen(migrating, libvirt_changes):
    program = _PROGRAM.format(name=_STEERING)
    subprocess.run([sys.executable, "-c", program, _CODE, *migrating], check=True)
    assert [(each["call"], each["modules"]) for each in libvirt_changes()] == [
        ("virDomainMigrateSetMaxDowntime", [_STEERING])
    ]


@pytest.mark.parametrize("concurrency", ["threading", "eventlet"])
def test_change_that_an_operator_asks_for_is_the_operators(
    concurrency, migrating, libvirt_changes, tmp_path
):
    """From a request to an agent's process, through its threads, to libvirt."""
    uri, server_uuid = migrating
    (port,) = processes.free_ports(1)
    config = tmp_path / "migprog.conf"
    config.write_text("[api]\nallow_actions = true\n[compute]\nallow_actions = true\n")
    command = [str(tmp_path.joinpath(sys.executable).with_name("migprog-standalone"))]
    command += ["--config-file", str(config), "--bind-port", str(port)]
    command += ["--state-path", str(tmp_path / "state"), "--connection-uri", uri]
    address = f"http://127.0.0.1:{port}/servers/{server_uuid}/migrations"
    environment = os.environ | {"MIGPROG_CONCURRENCY": concurrency}
    with processes.running(command, tmp_path, environment) as program:
        processes.wait_for_port(port, 60, program)

        def record():
            answer = requests.get(address, timeout=30)
            return answer.ok and answer.json()["migrations"][0]

        number = processes.wait_for(record, 60, "a record of the migration")["id"]
        assert requests.delete(f"{address}/{number}", timeout=60).ok
        processes.wait_for(lambda: not record()["in_progress"], 60, "its end")
    (change,) = libvirt_changes()
    assert change["call"] == "virDomainAbortJob"
    assert boundary.is_operators(change["modules"])


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (["migprog.compute.agent", "migprog.compute.actions"], True),
        (["migprog.compute.agent", "migprog.compute.steering"], False),
        (["migprog.compute.actions", "migprog.compute.steering"], False),
        (["migprog.compute.libvirt.host"], False),
    ],
)
def test_call_is_an_operators_only_through_the_modules_of_actions(modules, expected):
    assert boundary.is_operators(modules) is expected


def test_every_call_of_libvirt_that_is_not_known_to_read_is_a_change():
    changing = ("abort", "create", "destroy", "suspend", "resume", "setMetadata", "undefine")
    for name in changing:
        assert not boundary.is_read(f"virDomain{name[0].upper()}{name[1:]}")
    for name in (
        "virDomainMigrateToURI3",
        "virDomainMigrateSetMaxSpeed",
        "virDomainQemuMonitorCommand",
        "virDomainStartDirtyRateCalc",
    ):
        assert not boundary.is_read(name)


@pytest.mark.parametrize(
    ("call", "module", "expected"),
    [
        ("virDomainStartDirtyRateCalc", "migprog.compute.libvirt.dirty_rate", True),
        ("virDomainStartDirtyRateCalc", "migprog.compute.steering", False),
        ("virDomainMigrateSetMaxDowntime", "migprog.compute.libvirt.dirty_rate", False),
    ],
)
def test_measuring_changes_nothing_else(call, module, expected):
    assert boundary.is_measuring({"call": call, "modules": [module]}) is expected

# SPDX-License-Identifier: Apache-2.0
"""The lab itself: what every other functional test, the demo and the recordings stand on."""

import contextlib
import operator
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import pytest

from lab.hosts import Guest, Host, Lab, LabError, Migration, NovaMetadata, Server
from lab.hosts.nova_metadata import NOVA_NAMESPACE
from lab.hosts.statedir import StateDirectory, sweep

pytestmark = pytest.mark.functional

MIB = 2**20
RUNNING = [libvirt.VIR_DOMAIN_RUNNING]

# A lab that is busy when it says so, and then waits to be killed.
DOOMED = """
import sys, signal
from lab.hosts import Guest, Lab
lab = Lab(state_path=sys.argv[1])
lab.start()
server = lab.start_guest(lab.hosts[0], Guest("doomed"))
lab.migrate(server, *lab.hosts, bandwidth_mib_s=1).wait_for(lambda stats: stats["data_total"])
print(lab.directory, flush=True)
signal.pause()
"""

# In a mount namespace of its own: a machine whose libvirt would notice if anyone touched it.
DECOY = """
import os, pathlib, socket
from lab.hosts import Guest, Lab
decoy = pathlib.Path("/run/libvirt/libvirt-sock")
decoy.parent.mkdir()
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(decoy))
listener.listen()
listener.setblocking(False)
before = os.stat(decoy), os.stat(decoy.parent)
with Lab() as lab:
    assert lab.directory.is_relative_to("/run"), lab.directory
    lab.start_guest(lab.hosts[0], Guest("other", memory_mib=16, fill_mib=1, working_set_mib=1))
assert (os.stat(decoy), os.stat(decoy.parent)) == before
assert os.listdir("/run") == ["libvirt"] and os.listdir("/run/libvirt") == ["libvirt-sock"]
try:
    listener.accept()
except BlockingIOError:
    print("untouched")
"""


@pytest.fixture
def start(lab: Lab) -> Iterator[Callable[..., Server]]:
    """Starts guests on the first host; they are gone after the test."""
    servers: list[Server] = []

    def start(**what: Any) -> Server:
        server = lab.start_guest(lab.hosts[0], Guest(f"lab-guest-{len(servers)}", **what))
        servers.append(server)
        return server

    yield start
    for server in servers:
        lab.destroy_guest(server)


@pytest.fixture
def base() -> Iterator[Path]:
    """A place for a lab's directory: a socket's path must be shorter than tmp_path's are."""
    with tempfile.TemporaryDirectory(prefix="lab-") as directory:
        yield Path(directory)


def migrate(lab: Lab, server: Server, **how: Any) -> Migration:
    """From the first host to the second."""
    return lab.migrate(server, lab.hosts[0], lab.hosts[1], **how)


def state(host: Host, server: Server) -> list[int] | None:
    """The domain's state on this host; None where it is not known."""
    with host.connect() as connection, contextlib.suppress(libvirt.libvirtError):
        return connection.lookupByUUIDString(server.uuid).state()[:1]
    return None


def processes_of(directory: Path) -> list[str]:
    """What runs in a lab's hosts, or has its directory among its arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = process.joinpath("cmdline").read_text().replace("\0", " ")
            root = os.readlink(process / "root")
            # By its name, which is unique: inside a chroot the link does not begin where we do.
            if directory.name in Path(root).parts or f"{directory}/" in command:
                found.append(command)
    return found


# -- migrations ------------------------------------------------------------------------------


def test_memory_is_migrated(lab: Lab, start: Callable[..., Server]) -> None:
    server = start(memory_mib=64, fill_mib=32, working_set_mib=16, segments=((1000, 2.0),))
    outcome = migrate(lab, server, bandwidth_mib_s=40).wait()
    assert outcome.completed, outcome.error
    assert outcome.error is None
    assert [state(host, server) for host in lab.hosts] == [None, RUNNING]
    stats = outcome.completed_stats
    assert stats is not None
    assert 64 * MIB <= stats["memory_total"] < 66 * MIB
    # Each filled page at least once, and what was dirtied meanwhile; 4 KiB and a header a page.
    assert 32 * MIB <= stats["memory_processed"] < 40 * MIB
    assert stats["disk_total"] == 0
    assert 0 < stats["downtime"] < 2000
    assert stats["time_elapsed"] >= 32 / 40 * 1000


def test_a_disk_goes_along_at_the_bandwidth_allowed(lab: Lab, start: Callable[..., Server]) -> None:
    server = start(memory_mib=16, fill_mib=4, working_set_mib=1, segments=((1000, 0),), disk_mib=64)
    migration = migrate(lab, server, bandwidth_mib_s=32)
    copying = migration.wait_for(lambda stats: stats["disk_remaining"])
    assert copying["memory_total"] == 0
    outcome = migration.wait()
    assert outcome.completed, outcome.error
    assert outcome.completed_stats is not None
    assert outcome.completed_stats["disk_processed"] == 64 * MIB
    # QEMU copies 16 MiB in one go before it looks at the cap.
    assert outcome.completed_stats["time_elapsed"] >= (64 - 16) / 32 * 1000
    images = [host.root / "var/lib/libvirt/images/lab-guest-0.raw" for host in lab.hosts]
    copies = [image.read_bytes() for image in images]
    assert copies[0] == copies[1]
    assert copies[0].count(0) < MIB


def test_post_copy(lab: Lab, start: Callable[..., Server]) -> None:
    server = start(fill_mib=40, working_set_mib=32, segments=((1000, 60.0),))
    migration = migrate(lab, server, bandwidth_mib_s=20, post_copy=True)
    migration.wait_for(lambda stats: stats["memory_iteration"] > 1)
    migration.start_post_copy()
    outcome = migration.wait()
    assert outcome.completed, outcome.error
    assert outcome.completed_stats is not None
    assert [state(host, server) for host in lab.hosts] == [None, RUNNING]


def test_aborted_and_tried_again(lab: Lab, start: Callable[..., Server]) -> None:
    server = start(memory_mib=32, fill_mib=24, working_set_mib=8, disk_mib=32)
    for phase in ("disk_total", "memory_total"):
        migration = migrate(lab, server, bandwidth_mib_s=20)
        migration.wait_for(operator.itemgetter(phase))
        migration.abort()
        outcome = migration.wait()
        assert not outcome.completed
        assert "canceled by client" in (outcome.error or "")
        assert outcome.completed_stats is None
        assert [state(host, server) for host in lab.hosts] == [RUNNING, None]
    assert migrate(lab, server, bandwidth_mib_s=None).wait().completed


def test_bandwidth_and_downtime_changed_on_the_way(lab: Lab, start: Callable[..., Server]) -> None:
    server = start(memory_mib=64, fill_mib=48, segments=((1000, 0),))
    migration = migrate(lab, server, bandwidth_mib_s=1, downtime_ms=123)
    migration.wait_for(lambda stats: stats["memory_processed"] > 0)
    with lab.hosts[0].connect() as connection:
        domain = connection.lookupByUUIDString(server.uuid)
        assert domain.migrateGetMaxDowntime() == 123
        migration.set_downtime(456)
        assert domain.migrateGetMaxDowntime() == 456
    migration.set_bandwidth(100)
    outcome = migration.wait()
    assert outcome.completed, outcome.error
    assert outcome.completed_stats is not None
    assert outcome.completed_stats["time_elapsed"] < 48 / 1 * 1000


def test_five_at_once(lab: Lab, start: Callable[..., Server]) -> None:
    servers = [
        start(memory_mib=16, fill_mib=8, working_set_mib=2, segments=((1000, 1.0),), disk_mib=4)
        for _ in range(5)
    ]
    migrations = [migrate(lab, server, bandwidth_mib_s=4) for server in servers]
    outcomes = [migration.wait() for migration in migrations]
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert [state(lab.hosts[1], server) for server in servers] == [RUNNING] * 5


# -- guests ----------------------------------------------------------------------------------


def test_rate_is_as_libvirt_measures_it(lab: Lab, start: Callable[..., Server]) -> None:
    # Over segments of the same mean, a working set that no pass of two seconds wraps around.
    server = start(memory_mib=64, fill_mib=56, working_set_mib=56, segments=((20, 6.0), (20, 10.0)))
    migration = migrate(lab, server, bandwidth_mib_s=24, downtime_ms=1)
    stats = migration.wait_for(lambda stats: stats["memory_dirty_rate"])
    pace_mib_s = stats["memory_dirty_rate"] * stats["memory_page_size"] / MIB
    migration.abort()
    assert 8.0 * 0.8 < pace_mib_s < 8.0 * 1.2


def test_domain_has_novas_metadata(lab: Lab, start: Callable[..., Server]) -> None:
    nova = NovaMetadata(server_name="<b>Müller & 'Söhne'</b>", project_name='"', user_name="]]>")
    server = start(memory_mib=16, fill_mib=1, working_set_mib=1, disk_mib=1, nova=nova)
    with lab.hosts[0].connect_read_only() as connection:
        xml = connection.lookupByUUIDString(server.uuid).XMLDesc()
    instance = ET.fromstring(xml).find("metadata/{*}instance")
    assert instance is not None
    names = {"nova": NOVA_NAMESPACE}
    assert instance.findtext("nova:name", namespaces=names) == nova.server_name
    assert instance.findtext("nova:owner/nova:user", namespaces=names) == nova.user_name
    project = instance.find("nova:owner/nova:project", names)
    assert project is not None
    assert (project.text, project.get("uuid")) == (nova.project_name, nova.project_id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_mib": 4},
        {"memory_mib": 64, "fill_mib": 61},
        {"working_set_mib": 0},
        {"segments": ()},
        {"segments": ((1000, -1.0),)},
    ],
)
def test_an_impossible_guest_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LabError, match=r"must be|MiB of memory"):
        Guest("impossible", **wrong)


# -- the life of hosts and labs --------------------------------------------------------------


def test_a_guest_outlives_its_libvirtd(lab: Lab, start: Callable[..., Server]) -> None:
    server = start(memory_mib=16, fill_mib=1, working_set_mib=1)
    host = lab.hosts[0]
    host.kill_libvirtd()
    with pytest.raises(libvirt.libvirtError):
        host.connect()
    host.start_libvirtd()
    assert state(host, server) == RUNNING
    host.restart_libvirtd()
    assert state(host, server) == RUNNING
    host.signal_guest(server.name, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while state(host, server) == RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_is_left_of_a_killed_lab(base: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(base)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    directory = Path(owner.stdout.readline().strip())
    assert sweep(base) == []  # it lives
    running = processes_of(directory)
    assert sum("libvirtd" in command.split(" ")[0] for command in running) == 2
    assert sum("guest=doomed" in command for command in running) == 2
    owner.kill()
    owner.communicate()
    deadline = time.monotonic() + 30
    while processes_of(directory):
        assert time.monotonic() < deadline, processes_of(directory)
        time.sleep(0.02)
    assert str(base) not in Path("/proc/self/mountinfo").read_text()
    assert directory.exists()
    fresh = StateDirectory(base)
    assert list(base.iterdir()) == [fresh.path]
    fresh.remove()
    assert list(base.iterdir()) == []


def test_the_libvirt_of_the_machine_is_left_alone() -> None:
    script = 'mount -t tmpfs none /run && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", DECOY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "untouched\n", done.stderr


def test_labs_side_by_side(lab: Lab, base: Path) -> None:
    with Lab(state_path=base) as other:
        uris = {host.uri for each in (lab, other) for host in each.hosts}
        assert len(uris) == 4
        aside = Guest("aside", memory_mib=16, fill_mib=8, working_set_mib=1)
        server = other.start_guest(other.hosts[1], aside)
        outcome = other.migrate(server, other.hosts[1], other.hosts[0]).wait()
        assert outcome.completed, outcome.error
        assert state(lab.hosts[0], server) is None
    assert list(base.iterdir()) == []


def test_a_long_path_is_refused_in_words(base: Path) -> None:
    with pytest.raises(LabError, match="choose a shorter state_path"):
        Lab(state_path=base / ("x" * 100)).start()

# SPDX-License-Identifier: Apache-2.0
"""The Debian packages on a fresh Debian with systemd: installed, started, upgraded, purged.

``MIGPROG_DEBS`` names a folder of packages that tools/build-deb has made already.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from lab.hosts import Guest
from lab.parts import debian_machine as machines
from lab.parts import later_debs
from lab.parts.processes import free_ports, wait_for

pytestmark = [pytest.mark.functional, pytest.mark.long, pytest.mark.timeout(1800)]

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_CLOUD = ("common", "compute", "controller", "conductor", "api", "client")
_SERVICES = ("migprog-conductor", "migprog-api", "migprog-compute")
_SECONDS = 90.0
# Of the fresh Debian; any number that is free in both.
_LIBVIRT_GROUP = 64_055


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    """The packages by name."""
    made = os.environ.get("MIGPROG_DEBS")
    directory = pathlib.Path(made) if made else tmp_path_factory.mktemp("debs")
    if not made:
        done = subprocess.run(
            [str(_ROOT / "tools/build-deb"), str(directory)],
            env=os.environ | {"MIGPROG_PREPARED": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return {path.name.partition("_")[0]: path for path in directory.glob("*.deb")}


@pytest.fixture(scope="module")
def fresh_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("debian") / "root"
    machines.make_root(root)
    return root


@pytest.fixture
def boot(fresh_root, tmp_path, debs):
    """Boots a copy of the fresh root with the packages in /debs."""

    def boot(*binds: str):
        root = tmp_path / "root"
        subprocess.run(["cp", "-a", str(fresh_root), str(root)], check=True)
        (root / "debs").mkdir()
        for path in debs.values():
            shutil.copy(path, root / "debs")
        return machines.booted(root, tmp_path, binds)

    return boot


def install(machine, debs, *names: str) -> None:
    paths = [f"/debs/{debs[f'migprog-{name}'].name}" for name in names]
    machine.run("apt-get", "install", "-y", *paths, seconds=400)


def start(machine, *services: str) -> None:
    """Start services; fail with what they have logged."""
    done = machine.try_run("systemctl", "start", *services, seconds=200)
    if done.returncode != 0:
        said = machine.run("journalctl", "--no-pager", *(f"--unit={name}" for name in services))
        pytest.fail(f"{done.stderr}\n{said[-4000:]}", pytrace=False)


def purge(machine, *names: str) -> None:
    machine.run("apt-get", "purge", "-y", *(f"migprog-{name}" for name in names), seconds=300)


def configure(machine, text: str) -> None:
    path = machine.root / "etc/migprog/migprog.conf"
    # As an editor does: owner and mode stay.
    with path.open("r+") as config:
        config.truncate()
        config.write(text)


def left_behind(machine) -> list[str]:
    return [
        str(path)
        for pattern in (
            "opt/venvs/migprog*",
            "etc/migprog*",
            "var/lib/migprog*",
            "usr/bin/migprog*",
        )
        for path in machine.root.glob(pattern)
    ] + machine.try_run(
        "sh", "-c", "systemctl list-unit-files --no-legend 'migprog*'"
    ).stdout.split()


def guest_on(lab, fill_mib: int = 48):
    return lab.start_guest(
        lab.hosts[0],
        Guest(
            name="packed",
            memory_mib=fill_mib + 16,
            fill_mib=fill_mib,
            working_set_mib=1,
            segments=((1000, 0.2),),
        ),
    )


def watch_a_migration(machine, lab, url: str, uri_name: str) -> None:
    """A real migration is in the list of ``migprog``, and has ended there."""
    server = guest_on(lab)
    try:
        lab.migrate(server, *lab.hosts, bandwidth_mib_s=50).wait(timeout=60)

        def ended():
            said = machine.run("migprog", "--url", url, "list", "--all", "-f", "json", "--long")
            return [row for row in json.loads(said) if "completed" in map(str, row.values())]

        assert wait_for(ended, _SECONDS, f"the end of the migration of {uri_name}")
    finally:
        lab.destroy_guest(server)


def introduce_user(machine, host) -> None:
    """Have the lab's libvirt, which looks up who connects, know the machine's user migprog."""
    for name in ("passwd", "group"):
        line = machine.run("getent", name, "migprog")
        with host.outside(pathlib.Path("/etc") / name).open("a") as known:
            known.write(line)


def share_socket(host, mode: int = 0o666) -> str:
    """Let any user of the fresh Debian reach a host's libvirt, or with 0o660 those of its group
    libvirt; return the path to bind."""
    path = pathlib.Path(host.uri.partition("socket=")[2])
    path.chmod(mode)
    os.chown(path, -1, _LIBVIRT_GROUP if mode == 0o660 else 0)
    return str(path)


def reach_libvirt_by_its_group(machine, service: str) -> None:
    """As the manual has it: a drop-in with SupplementaryGroups, and nothing else."""
    machine.run("groupadd", "--gid", str(_LIBVIRT_GROUP), "libvirt")
    machine.run("systemctl", "start", "--no-block", service)
    wait_for(
        lambda: "waiting for libvirt" in machine.show(service, "StatusText"),
        *(_SECONDS, "the agent to miss the permission"),
    )
    machine.run("systemctl", "stop", service)
    drop_in = machine.root / f"etc/systemd/system/{service}.service.d/libvirt.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nSupplementaryGroups=libvirt\n")
    machine.run("systemctl", "daemon-reload")
    start(machine, service)
    said = machine.run("journalctl", "--no-pager", f"--unit={service}")
    assert "cannot subscribe to QEMU events" not in said


def test_packages_of_a_cloud_install_start_watch_and_purge(boot, debs, lab, rabbitmq, postgresql):
    host = lab.hosts[0]
    socket = share_socket(host)
    port = free_ports(1)[0]
    with boot(f"{socket}:/srv/libvirt-sock") as machine:
        install(machine, debs, *_CLOUD)
        introduce_user(machine, host)
        for service in _SERVICES:
            assert machine.show(service, "ActiveState") == "inactive"
            assert machine.show(service, "UnitFileState") == "enabled"
        config = machine.run("stat", "-c", "%U %G %a", "/etc/migprog/migprog.conf").split()
        assert config == ["root", "migprog", "640"]
        configure(
            machine,
            f"[DEFAULT]\ntransport_url = {rabbitmq}\n[database]\nconnection = {postgresql}\n"
            f"[api]\nauth_strategy = noauth\nbind_port = {port}\n"
            "[compute]\nconnection_uri = qemu+unix:///system?socket=/srv/libvirt-sock\n"
            "report_interval = 0.5\n",
        )
        machine.run("migprog-manage", "db", "sync")
        # It returns when each has said that it serves.
        start(machine, *_SERVICES)
        statuses = {name: machine.show(name, "StatusText") for name in _SERVICES}
        assert f"watching 0 migration(s) of {host.name}" in statuses["migprog-compute"]
        assert statuses["migprog-conductor"].startswith("storing reports from message broker")
        assert statuses["migprog-api"].startswith("serving requests at")
        for name in _SERVICES:
            pid = machine.show(name, "MainPID")
            assert machine.run("ps", "-o", "user=", "-p", pid).strip() == "migprog"
        watch_a_migration(machine, lab, f"http://127.0.0.1:{port}", host.name)
        said = machine.run("migprog-status", "--process", "migprog-compute", "upgrade", "check")
        assert "libvirt" in said
        hung_agent_is_restarted(machine)
        upgrade_during_a_migration(machine, lab, debs, f"http://127.0.0.1:{port}")
        purge(machine, *_CLOUD)
        assert left_behind(machine) == []


def upgrade_during_a_migration(machine, lab, old, url: str) -> None:
    """Configuration and state stay; the agent is restarted, and continues the record."""
    new = later_debs.later(
        {name: path for name, path in old.items() if name.removeprefix("migprog-") in _CLOUD},
        machine.root / "debs",
    )
    config, state = machine.root / "etc/migprog/migprog.conf", machine.root / "var/lib/migprog"
    kept = (config.read_text(), config.stat().st_mode, config.stat().st_gid)
    keys = {path.name: path.read_bytes() for path in state.rglob("*key*") if path.is_file()}
    assert keys
    pids = {name: machine.show(name, "MainPID") for name in _SERVICES}
    # Longer than the upgrade, whatever the machine is busy with.
    server = guest_on(lab, fill_mib=400)
    try:
        migration = lab.migrate(server, *lab.hosts, bandwidth_mib_s=1)
        (begun,) = wait_for(lambda: rows(machine, url), _SECONDS, "the migration in the list")
        install(machine, new, *_CLOUD)
        wait_for(
            lambda: (
                machine.show("migprog-compute", "MainPID") not in (pids["migprog-compute"], "0")
            ),
            *(_SECONDS, "the upgrade to restart the agent"),
        )
        wait_for(
            lambda: "watching 1 migration(s)" in machine.show("migprog-compute", "StatusText"),
            *(_SECONDS, "the new agent to go on"),
        )
        migration.set_bandwidth(100)
        migration.wait(timeout=120)

        def ended():
            return [row for row in rows(machine, url, "--ended") if row["UUID"] == begun["UUID"]]

        (row,) = wait_for(ended, _SECONDS, "the end under the same record")
        assert "completed" in map(str, row.values()), row
    finally:
        lab.destroy_guest(server)
    for name in new:
        version = machine.run("dpkg-query", "-W", "-f", "${Version}", name)
        assert version.endswith("+later1"), (name, version)
    assert (config.read_text(), config.stat().st_mode, config.stat().st_gid) == kept
    assert {path.name: path.read_bytes() for path in state.rglob("*key*") if path.is_file()} == keys
    # Controllers are restarted by hand, in the order of the manual.
    for name in ("migprog-conductor", "migprog-api"):
        assert machine.show(name, "MainPID") == pids[name]
        machine.run("systemctl", "restart", name)


def rows(machine, url: str, *options: str) -> list[dict]:
    said = machine.run("migprog", "--url", url, "list", "-f", "json", "--long", *options)
    return json.loads(said)


def hung_agent_is_restarted(machine) -> None:
    """A watchdog of three seconds ends a stopped process, and it is started again."""
    drop_in = machine.root / "etc/systemd/system/migprog-compute.service.d/soon.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=3\nTimeoutStopSec=2\nRestartSec=0\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "migprog-compute")
    pid = machine.show("migprog-compute", "MainPID")
    machine.run("kill", "-STOP", pid)

    def is_another() -> bool:
        return (
            machine.show("migprog-compute", "NRestarts") == "1"
            and machine.show("migprog-compute", "ActiveState") == "active"
        )

    wait_for(is_another, _SECONDS, "the hung agent to be restarted")
    assert machine.show("migprog-compute", "MainPID") != pid
    shutil.rmtree(drop_in.parent)
    machine.run("systemctl", "daemon-reload")


def test_packages_of_one_machine_install_start_watch_and_purge(boot, debs, lab):
    host = lab.hosts[0]
    socket = share_socket(host, 0o660)
    port = free_ports(1)[0]
    with boot(f"{socket}:/srv/libvirt-sock") as machine:
        install(machine, debs, "common", "standalone", "client")
        introduce_user(machine, host)
        configure(
            machine,
            "[compute]\nconnection_uri = qemu+unix:///system?socket=/srv/libvirt-sock\n"
            f"report_interval = 0.5\n[api]\nbind_port = {port}\n",
        )
        reach_libvirt_by_its_group(machine, "migprog-standalone")
        assert host.name in machine.show("migprog-standalone", "StatusText")
        watch_a_migration(machine, lab, f"http://127.0.0.1:{port}", host.name)
        # It raises if a file of the page is missing.
        loads = "from migprog import ui; ui.load('noauth', password_login=False)"
        machine.run("/opt/venvs/migprog-standalone/bin/python", "-c", loads)
        machine.run("systemctl", "stop", "migprog-standalone")
        assert machine.show("migprog-standalone", "Result") == "success"
        shutil.rmtree(machine.root / "etc/systemd/system/migprog-standalone.service.d")
        purge(machine, "standalone", "client", "common")
        assert left_behind(machine) == []


def test_polkit_rule_permits_the_agents_user_the_guarded_socket(boot, debs):
    """With libvirt and polkit of Debian, where no group but polkit guards the socket."""
    with boot() as machine:
        install(machine, debs, "common")
        machine.run("apt-get", "update", seconds=200)
        needs = ("libvirt-daemon-system", "libvirt-clients", "polkitd")
        machine.run("apt-get", "install", "-y", "--no-install-recommends", *needs, seconds=400)
        with (machine.root / "etc/libvirt/libvirtd.conf").open("a") as config:
            config.write('auth_unix_rw = "polkit"\nunix_sock_rw_perms = "0777"\n')
        socket = machine.root / "etc/systemd/system/libvirtd.socket.d/all.conf"
        socket.parent.mkdir(parents=True)
        socket.write_text("[Socket]\nSocketMode=0777\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "stop", "libvirtd.service")
        machine.run("systemctl", "restart", "libvirtd.socket", "polkit.service")
        # What needs no emulator, of which this machine has none.
        command = ("runuser", "-u", "migprog", "--", "virsh", "-c", "qemu:///system", "list")
        refused = machine.try_run(*command)
        assert refused.returncode != 0 and "authentication" in refused.stderr, refused
        rules = machine.root / "etc/polkit-1/rules.d/60-migprog.rules"
        shutil.copy(_ROOT / "etc/polkit/60-migprog.rules", rules)
        rules.chmod(0o644)
        machine.run("systemctl", "restart", "polkit.service")
        assert "State" in machine.run(*command)
        # Nobody else is permitted.
        other = machine.try_run("runuser", "-u", "nobody", *command[3:])
        assert other.returncode != 0 and "authentication" in other.stderr, other


def test_agents_package_has_no_database_and_no_web_framework(debs):
    done = subprocess.run(
        ["dpkg-deb", "--contents", str(debs["migprog-compute"])],
        capture_output=True,
        text=True,
        check=True,
    )
    for package in ("sqlalchemy", "alembic", "falcon", "keystonemiddleware", "oslo_db", "/pip/"):
        assert f"site-packages/{package}" not in done.stdout
    assert "site-packages/libvirt.py" in done.stdout

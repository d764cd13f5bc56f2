# SPDX-License-Identifier: Apache-2.0
"""libvirt: a real one, whose daemon or whose server hangs."""

import contextlib
import logging
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from lab.hosts import Guest, Host, Lab, Server
from lab.parts import processes
from migprog.compute.agent import ComputeAgent
from migprog.compute.settings import Settings
from migprog.core.messages import Ack, Batch
from migprog.core.schedule import Rules
from migprog.recording.writer import Limits
from migprog.tests.functional.parties.table import SHORT, SLACK_SECONDS, Times, cell

# The first thing that a host of the lab does, on a machine that does much else.
READY_SECONDS = 60.0
WATCHES = "watching the migrations of"
ANSWERS = "libvirt answers after"
FAILS = "cannot reach libvirt: "


class _Log(logging.Handler):
    """The lines of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def count(self, text: str) -> int:
        return sum(text in line for line in list(self.lines))

    def await_line(self, text: str, seconds: float, count: int = 1) -> None:
        """Wait so long for the log to have ``text`` in so many lines."""
        what = f"{count} × {text!r} in the log"
        processes.wait_for(lambda: self.count(text) >= count, seconds, what)


class _Conductor:
    """Remembers what it was sent."""

    def __init__(self) -> None:
        self.reports: list[Any] = []

    def report(self, batch: dict[str, Any], acknowledged: bool) -> dict[str, Any] | None:
        reports = Batch.from_wire(batch)[0].reports
        self.reports += reports
        return Ack().to_wire() if acknowledged else None

    def servers(self) -> set[str]:
        return {report.server_uuid for report in list(self.reports)}

    def migrations(self) -> set[str]:
        return {report.uuid for report in list(self.reports)}

    def await_report(self, server: Server) -> None:
        """Wait for one more report of the server's migration."""
        seen = len(self.reports)
        processes.wait_for(
            lambda: any(each.server_uuid == server.uuid for each in self.reports[seen:]),
            READY_SECONDS,
            f"a report of {server.name}",
        )


@contextlib.contextmanager
def agent(
    host: Host, uri: str | None = None, qemu_events: bool = True, listen: Any = None
) -> Iterator[Any]:
    """An agent of ``host``, which reaches it by ``uri``; gives its log and its conductor."""
    settings = Settings(
        connection_uri=uri or host.uri,
        host=host.name,
        my_ip=None,
        poll_interval_seconds=0.25,
        scan_interval_seconds=SHORT.scan,
        qemu_events=qemu_events,
        libvirt_timeout_seconds=SHORT.libvirt,
        rules=Rules(report_interval_seconds=0.5, heartbeat_interval_seconds=30.0),
        state_path=None,
        record_path=None,
        record_limits=Limits(max_bytes=2**24, keep=10),
    )
    log, conductor = _Log(), _Conductor()
    logger = logging.getLogger("migprog")
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    manager = ComputeAgent(settings, conductor, listen)
    manager.start()
    try:
        yield log, conductor
    finally:
        manager.stop()
        logger.setLevel(level)
        logger.removeHandler(log)


@contextlib.contextmanager
def guest(hosts: Lab, name: str, disk_mib: int = 0) -> Iterator[Server]:
    """A server on the first host."""
    its = Guest(name=f"party-{name}", memory_mib=64, fill_mib=48, disk_mib=disk_mib)
    server = hosts.start_guest(hosts.hosts[0], its)
    try:
        yield server
    finally:
        hosts.destroy_guest(server)


@contextlib.contextmanager
def _migration(hosts: Lab, server: Server) -> Iterator[None]:
    """A migration that takes longer than this."""
    source, destination = hosts.hosts
    migration = hosts.migrate(server, source, destination, bandwidth_mib_s=2)
    try:
        yield
    finally:
        migration.abort()
        migration.wait()


def in_time(seconds: float) -> float:
    return 2 * seconds + SLACK_SECONDS


_AGAIN = "logs it and tries again until it succeeds, then watches as before"


@cell("libvirt", "away", "agent", _AGAIN, lambda t: t.scan)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with agent(host) as (log, _conductor):
        log.await_line(WATCHES, READY_SECONDS)
        host.kill_libvirtd()
        try:
            log.await_line(FAILS, in_time(SHORT.scan))
        finally:
            host.start_libvirtd(READY_SECONDS)
        log.await_line(ANSWERS, in_time(SHORT.scan))
        assert log.count(WATCHES) == 2


@contextlib.contextmanager
def refusing(directory: str) -> Iterator[str]:
    """A socket that takes connections and closes them."""
    path = f"{directory}/refuses"

    def refuse() -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@cell("libvirt", "refuses", "agent", _AGAIN, lambda t: t.scan)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    # It has no such driver, and says so.
    with agent(host, host.uri.replace("/system", "/nonsense")) as (log, _conductor):
        log.await_line("'/nonsense', try qemu:///system", in_time(SHORT.scan))
        assert log.count(FAILS) == log.count("/nonsense") == 1
    with tempfile.TemporaryDirectory(prefix="migprog-") as directory:
        link = pathlib.Path(directory, "socket")
        with refusing(directory) as path:
            link.symlink_to(path)
            with agent(host, f"qemu+unix:///system?socket={link}") as (log, _conductor):
                log.await_line(FAILS, in_time(SHORT.scan))
                instead = pathlib.Path(directory, "instead")
                instead.symlink_to(host.uri.partition("socket=")[2])
                os.replace(instead, link)
                log.await_line(WATCHES, in_time(SHORT.scan))
                log.await_line(ANSWERS, in_time(SHORT.scan))


def _silent_seconds(times: Times) -> float:
    return times.scan + times.libvirt


@cell(
    *("libvirt", "silent", "agent"),
    "logs it; continues with the known migrations when libvirt answers",
    _silent_seconds,
)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with (
        guest(hosts, "silent") as server,
        agent(host) as (log, conductor),
        _migration(hosts, server),
    ):
        conductor.await_report(server)
        host.signal_libvirtd(signal.SIGSTOP)
        try:
            warning = f"{host.uri}: libvirt has not answered for"
            log.await_line(warning, in_time(_silent_seconds(SHORT)))
        finally:
            host.signal_libvirtd(signal.SIGCONT)
        log.await_line(ANSWERS, READY_SECONDS)
        conductor.await_report(server)
        assert len(conductor.migrations()) == 1


@cell(
    *("libvirt", "slow", "agent"),
    (
        "of a server whose job lock another call holds: logs it; the migrations of other "
        "servers are watched as usual"
    ),
    _silent_seconds,
)
def _(hosts: Lab) -> None:
    host = hosts.hosts[0]
    with (
        guest(hosts, "hangs") as hung,
        guest(hosts, "other", disk_mib=64) as other,
        contextlib.closing(host.connect_read_only()) as connection,
    ):
        domain = connection.lookupByUUIDString(hung.uuid)
        host.signal_guest(hung.name, signal.SIGSTOP)
        # It waits for ever, and holds the server's job lock.
        command = ["virsh", "-q", "-c", host.uri, "qemu-monitor-command", "--hmp", hung.name]
        asker = subprocess.Popen([*command, "info version"], stderr=subprocess.DEVNULL)
        try:
            held = "the job lock to be held"
            processes.wait_for(lambda: domain.controlInfo()[0] != 0, READY_SECONDS, held)
            # Without QEMU's events only a search finds a migration whose disk is being copied.
            with (
                agent(host, qemu_events=False) as (log, conductor),
                _migration(hosts, other),
            ):
                log.await_line(WATCHES, READY_SECONDS)
                warning = f"server {hung.uuid}: libvirt has not answered for"
                log.await_line(warning, in_time(_silent_seconds(SHORT)))
                conductor.await_report(other)
                assert asker.poll() is None
                assert conductor.servers() == {other.uuid}
                assert log.count(warning) == 1
        finally:
            host.signal_guest(hung.name, signal.SIGCONT)
            asker.wait(READY_SECONDS)

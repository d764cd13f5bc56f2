# SPDX-License-Identifier: Apache-2.0
"""A lab: several libvirt hosts on this machine, guests on them, migrations between them.

    with Lab() as lab:
        a, b = lab.hosts
        server = lab.start_guest(a, Guest("web-1", segments=((1000, 4.0),)))
        outcome = lab.migrate(server, a, b, bandwidth_mib_s=50).wait()

It ends with the process that made it, however that ends. Several labs may run at once.
"""

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libvirt

from lab.hosts.errors import LabError
from lab.hosts.guest import READY_ADDRESS, Guest, assemble
from lab.hosts.host import Host
from lab.hosts.hostroot import IMAGES
from lab.hosts.migration import FLAGS, Migration
from lab.hosts.programs import find_programs
from lab.hosts.statedir import StateDirectory

GUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A guest that was started; `name` is the domain's."""

    guest: Guest

    @property
    def uuid(self) -> str:
        return self.guest.uuid

    @property
    def name(self) -> str:
        return self.guest.name


class Lab:
    """Hosts named `hosts`, in a directory of their own below `state_path` (by default /run).

    Guests are emulated in software, unless `kvm` asks for /dev/kvm. Needs root. Hosts see the
    directories in `visible` too, read-only, at the same paths.
    """

    def __init__(
        self,
        hosts: tuple[str, ...] = ("lab-a", "lab-b"),
        kvm: bool = False,
        state_path: Path | str | None = None,
        visible: tuple[Path, ...] = (),
    ):
        self.host_names = tuple(hosts)
        self.kvm = kvm
        self.hosts: tuple[Host, ...] = ()
        self._base = Path(state_path) if state_path else None
        self._visible = visible
        self._cleanup = contextlib.ExitStack()
        self._migrations: list[Migration] = []

    # -- life ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the hosts; they serve when this returns."""
        programs = find_programs(self.kvm)
        with contextlib.ExitStack() as cleanup:
            state = StateDirectory(self._base)
            cleanup.callback(state.remove)
            self.directory = state.path
            self._program = assemble(self.directory)
            hosts = []
            for name in self.host_names:
                host = Host(
                    name, self.host_names, self.directory, programs, self.kvm, self._visible
                )
                hosts.append(host)
                cleanup.callback(hosts[-1].stop)
            with ThreadPoolExecutor() as pool:
                list(pool.map(Host.start_libvirtd, hosts))
            self.hosts = tuple(hosts)
            self._cleanup = cleanup.pop_all()

    def stop(self) -> None:
        """Stop everything at once, also migrations in progress, and leave nothing behind."""
        self._cleanup.close()
        for migration in self._migrations:
            migration.wait()  # with their hosts dead, all have failed
        self.hosts, self._migrations = (), []

    # -- guests --------------------------------------------------------------------------------

    def start_guest(self, host: Host, guest: Guest) -> Server:
        """Start `guest` on `host`; its memory is filled when this returns."""
        kernel, disk = _kernel_path(guest), _disk_path(guest)
        for each in self.hosts:
            each.outside(kernel).write_bytes(self._program + guest.parameters())
        if disk:
            _write_full_disk(host.outside(disk), guest.disk_mib)
        with host.connect() as connection:
            domain = connection.defineXML(guest.domain_xml(kernel, disk, self.kvm))
            domain.create()
            wait_until_filled(domain)
        return Server(guest)

    def destroy_guest(self, server: Server) -> None:
        """Stop the server, on whatever host, and remove its files."""
        for host in self.hosts:
            with host.connect() as connection:
                _destroy(connection, server.uuid)
            for path in (_kernel_path(server.guest), _disk_path(server.guest)):
                if path:
                    host.outside(path).unlink(missing_ok=True)

    def destroy_all_guests(self) -> None:
        """Stop every server of every host."""
        for host in self.hosts:
            with host.connect() as connection:
                for domain in connection.listAllDomains():
                    _destroy(connection, domain.UUIDString())

    # -- migrations ----------------------------------------------------------------------------

    def migrate(
        self,
        server: Server,
        source: Host,
        destination: Host,
        bandwidth_mib_s: int | None = 25,
        post_copy: bool = False,
        auto_converge: bool = False,
        downtime_ms: int | None = None,
        undefine_source: bool = True,
        **more: Any,
    ) -> Migration:
        """Start to migrate `server`, peer to peer, with its disk if it has one; return at once.

        `post_copy` only allows it: `start_post_copy()` of the result begins it. The cap on the
        bandwidth is for the disk and the memory each; None is no cap. `downtime_ms` None leaves
        the limit on the pause as it is: 300 ms, if no earlier attempt changed it. Nova has the
        source undefined. `more` are further parameters, by libvirt's names.
        """
        flags = FLAGS if undefine_source else FLAGS & ~libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        flags |= libvirt.VIR_MIGRATE_POSTCOPY * post_copy
        flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE * auto_converge
        disk = _disk_path(server.guest)
        if disk:
            flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
            _write_empty_disk(destination.outside(disk), server.guest.disk_mib)
        parameters = more
        if bandwidth_mib_s is not None:
            parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = bandwidth_mib_s
        migration = Migration(server.uuid, source, destination, flags, parameters, downtime_ms)
        # What is over keeps connections open as long as somebody knows it.
        self._migrations = [each for each in self._migrations if each.running] + [migration]
        return migration


def _destroy(connection: libvirt.virConnect, uuid: str) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        domain = connection.lookupByUUIDString(uuid)
        with contextlib.suppress(libvirt.libvirtError):
            domain.destroy()
        domain.undefine()


def wait_until_filled(domain: libvirt.virDomain) -> None:
    deadline = time.monotonic() + GUEST_TIMEOUT_S
    while domain.memoryPeek(READY_ADDRESS, 4, libvirt.VIR_MEMORY_PHYSICAL) != b"\1\0\0\0":
        if time.monotonic() > deadline:
            raise LabError(f"guest {domain.name()} did not fill its memory in {GUEST_TIMEOUT_S} s")
        time.sleep(0.02)


def _kernel_path(guest: Guest) -> Path:
    return IMAGES / f"{guest.name}.kernel"


def _disk_path(guest: Guest) -> Path | None:
    return IMAGES / f"{guest.name}.raw" if guest.disk_mib else None


def _write_full_disk(path: Path, size_mib: int) -> None:
    """Write a disk without a hole or a zero block, so that every byte must be copied."""
    block = os.urandom(2**20)
    with path.open("wb") as file:
        for _ in range(size_mib):
            file.write(block)


def _write_empty_disk(path: Path, size_mib: int) -> None:
    with path.open("wb") as file:
        file.truncate(size_mib * 2**20)

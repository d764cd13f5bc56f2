# SPDX-License-Identifier: Apache-2.0
"""What an operator and a tenant do with the lab: boot, migrate, abort, wait, show."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt
import requests

from lab.hosts.lab import wait_until_filled
from lab.nova import control
from lab.nova.cloud_client import Cloud, Refused, wait_for
from lab.nova.description import Description
from lab.nova.subprocesses import run

LIVE = "live-migration"
Document = dict[str, Any]
# Of a server to which something is still done, though its task is None for a moment.
_UNDER_WAY = ("BUILD", "MIGRATING", "VERIFY_RESIZE")
_BOOT_SECONDS = 180.0
_MIGRATE_SECONDS = 300.0
_numbers = itertools.count(1)
# Errors are raised: no need to print them too.
libvirt.registerErrorHandler(lambda *_: None, None)


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the tenant ``demo``."""

    uuid: str
    name: str


class Operations:
    """Everything is done through the public interfaces, by ``admin`` unless it is a tenant's."""

    def __init__(self, lab: Description, state: Path) -> None:
        self.lab = lab
        self.cloud = Cloud(lab)
        self._tenant = Cloud(lab, "demo")
        self._state = state

    # -- servers -----------------------------------------------------------------------------------

    def boot(self, image: str, host: str = "host-a", flavor: str = "lab.256") -> Server:
        """Boot a server of the tenant on a host; its memory is filled when this returns."""
        name = f"{image}-{os.getpid()}-{next(_numbers)}"
        images = self._tenant.ask("GET", f"{self.lab.glance}/v2/images?name={image}", None)
        flavors = self._tenant.nova("GET", "/flavors")["flavors"]
        body = {
            "name": name,
            "imageRef": images["images"][0]["id"],
            "flavorRef": next(each["id"] for each in flavors if each["name"] == flavor),
            "networks": "none",
            "host": host,
        }
        made = self._tenant.nova("POST", "/servers", {"server": body})["server"]["id"]
        server = Server(made, name)
        shown = self.wait_until_idle(server, _BOOT_SECONDS)
        if shown["status"] != "ACTIVE":
            raise RuntimeError(f"{name} is {shown['status']}: {shown.get('fault')}")
        with self.domain(server, host) as domain:
            wait_until_filled(domain.found)
        return server

    def delete(self, server: Server) -> None:
        self.cloud.nova("DELETE", f"/servers/{server.uuid}")
        wait_for(f"{server.name} to be gone", lambda: not self._exists(server), _BOOT_SECONDS)

    def _exists(self, server: Server) -> bool:
        try:
            self.shown(server)
        except Refused as refused:
            return refused.code != 404
        return True

    def shown(self, server: Server) -> Document:
        """Return Nova's document of a server."""
        found: Document = self.cloud.nova("GET", f"/servers/{server.uuid}", version="2.95")[
            "server"
        ]
        return found

    def host_of(self, server: Server) -> str:
        return str(self.shown(server)["OS-EXT-SRV-ATTR:host"])

    def other_host(self, server: Server) -> str:
        """Return the host on which a server is not."""
        here = self.host_of(server)
        return next(host.name for host in self.lab.hosts if host.name != here)

    def act(self, server: Server, action: str, arguments: Any = None) -> Any:
        """Run Nova's action of that name on a server."""
        return self.cloud.nova("POST", f"/servers/{server.uuid}/action", {action: arguments})

    def wait_until_idle(self, server: Server, seconds: float = _MIGRATE_SECONDS) -> Document:
        """Wait until a server has no task, and return Nova's document of it."""

        def idle() -> Document | None:
            shown = self.shown(server)
            is_idle = shown["OS-EXT-STS:task_state"] is None
            return shown if is_idle and shown["status"] not in _UNDER_WAY else None

        return wait_for(f"{server.name} to be idle", idle, seconds)

    def set_active(self, server: Server) -> None:
        """Reset the server's state in Nova, which is error after an aborted migration."""
        if self.shown(server)["status"] == "ERROR":
            self.act(server, "os-resetState", {"state": "active"})

    # -- migrations --------------------------------------------------------------------------------

    def cli(self, *words: str) -> str:
        """Run the ``openstack`` client as admin; its public endpoint of Nova is the proxy."""
        return run([Path(self.lab.commands) / "openstack", *words], self.lab.environment())

    def live_migrate(self, server: Server, *options: str, to: str | None = None) -> str:
        """Ask for it with the ``openstack`` client; the host it is asked to go to."""
        host = to or self.other_host(server)
        self.cli("server", "migrate", "--live-migration", "--host", host, *options, server.uuid)
        return host

    def in_progress(self, server: Server) -> list[Document]:
        """Return the migrations that Nova lists as in progress."""
        found = self.cloud.nova("GET", f"/servers/{server.uuid}/migrations")
        return list(found["migrations"])

    def abort(self, server: Server) -> None:
        """Abort the running migration with the ``openstack`` client."""
        (running,) = self.in_progress(server)
        self.cli("server", "migration", "abort", server.uuid, str(running["id"]))

    def force_complete(self, server: Server) -> None:
        (running,) = self.in_progress(server)
        self.cli("server", "migration", "force", "complete", server.uuid, str(running["id"]))

    def wait_until_moving(self, server: Server, host: str, mib: float = 0.0) -> None:
        """Wait until so much has been sent from a host."""

        def moves() -> bool:
            stats = self.job(server, host)
            return bool(stats and stats.get("data_processed", 0) > mib * 2**20)

        wait_for(f"{server.name} to move", moves, 120, 0.1)

    def job(self, server: Server, host: str) -> Document | None:
        """libvirt's statistics of a server's job on a host; None when there is no job."""
        try:
            with self.domain(server, host) as domain:
                stats: Document = domain.found.jobStats()
        except libvirt.libvirtError:
            return None
        return stats if stats.get("type") else None

    def rows(self, server: Server) -> list[Document]:
        """Return Nova's live migrations of a server, newest first."""
        found = self.cloud.nova("GET", f"/os-migrations?instance_uuid={server.uuid}")["migrations"]
        return [each for each in found if each["migration_type"] == LIVE]

    def records(self, server: Server) -> list[Document]:
        """migprog's records of a server, newest first."""
        try:
            found = self.cloud.migprog(f"/servers/{server.uuid}/migrations?limit=100")
        except Refused as refused:
            if refused.code == 404:
                return []
            raise
        return list(found["migrations"])

    def wait_for_records(self, server: Server, condition: Callable[[list[Document]], Any]) -> None:
        """Wait, half a minute at most, until migprog's records fulfil the condition."""
        give_up_at = time.monotonic() + 30
        while not condition(self.records(server)) and time.monotonic() < give_up_at:
            time.sleep(0.5)

    def wait_for_record(
        self, server: Server, condition: Callable[[Document], Any], seconds: float = 60.0
    ) -> Document:
        """Wait until the newest of migprog's records meets the condition, and return it. Raises
        :class:`TimeoutError`."""

        def newest() -> Document | None:
            return next((each for each in self.records(server)[:1] if condition(each)), None)

        return wait_for(f"a record of {server.name}", newest, seconds)

    # -- the lab -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def without_nova_api(self) -> Iterator[None]:
        """Stop nova-api during the block; it answers again when this returns."""
        self.supervisor("signal", name="nova-api", number=9)
        try:
            yield
        finally:
            self.supervisor("start", name="nova-api")
            wait_for("nova-api to answer", self._nova_answers, 120)

    def _nova_answers(self) -> bool:
        try:
            self.cloud.nova("GET", "/flavors")
        except (Refused, requests.RequestException):
            return False
        return True

    def supervisor(self, verb: str, /, **arguments: Any) -> Any:
        """Send the lab's supervisor a request."""
        return control.ask(self._state, verb, **arguments)

    def logs(self, service: str) -> list[Path]:
        """Return the files with a service's output, oldest first."""
        return sorted(
            (self._state / "run/log" / service).glob("*.log"), key=lambda path: path.stat().st_mtime
        )

    def domain(self, server: Server, host: str) -> "Domain":
        """libvirt's view of a server on a host, while a block lasts."""
        return Domain(self.lab.host(host).uri, server.uuid)


class Domain:
    """A domain with a connection of its own; ``found`` is libvirt's."""

    def __init__(self, uri: str, uuid: str) -> None:
        self._uri = uri
        self._uuid = uuid

    def __enter__(self) -> "Domain":
        self._connection = libvirt.open(self._uri)
        try:
            self.found = self._connection.lookupByUUIDString(self._uuid)
        except libvirt.libvirtError:
            self._connection.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

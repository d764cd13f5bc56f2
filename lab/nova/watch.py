# SPDX-License-Identifier: Apache-2.0
"""Record every 200 ms what clients, migprog and libvirt show of one server's migration."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import libvirt
import requests

from lab.nova import accuracy, client_view
from lab.nova.cloud_client import Refused
from lab.nova.differences import Difference, between
from lab.nova.operations import Document, Operations, Server

_STEP = accuracy.STEP_SECONDS
# Of what Nova and migprog list of a server, one in so many is held against the other.
_COMPARED = 5


@dataclass
class Samples:
    """All observations, each with its second of the monotonic clock."""

    jobs: list[tuple[float, Document]] = field(default_factory=list)
    records: list[tuple[float, Document | None]] = field(default_factory=list)
    progress: list[tuple[float, float | None]] = field(default_factory=list)
    moments: list[client_view.Moment] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    # Failed requests. A proxy that fails hides something, so its failures are reported.
    errors: list[str] = field(default_factory=list)

    def seen(self) -> accuracy.Seen:
        """Return the series from which figures are computed."""
        records = [(at, record or {}) for at, record in self.records]
        return accuracy.Seen(
            flow=[(at, job.get("data_processed", 0)) for at, job in self.jobs],
            percent=[(at, record.get("percent")) for at, record in records],
            nova=self.progress,
            shown=[(at, _bytes_moved(record)) for at, record in records],
        )


def _bytes_moved(record: Document) -> float | None:
    kinds = [record.get(f"{kind}_processed_bytes") for kind in ("memory", "disk")]
    return None if kinds == [None, None] else sum(each or 0 for each in kinds)


class Watch:
    """Samples while the block lasts. The server is on ``host`` at the beginning."""

    def __init__(self, operations: Operations, case: str, server: Server, host: str) -> None:
        self.samples = Samples()
        self.server = server
        self._bench = operations
        self._case = case
        self._uri = operations.lab.host(host).uri
        self._old = {record["uuid"] for record in operations.records(server)}
        self._over = threading.Event()
        self._counter = 0
        self._threads = [
            threading.Thread(target=self._repeat, args=arguments, daemon=True)
            for arguments in (
                (self._look_at_job, _STEP),
                (self._look_at_record, _STEP),
                (self._look_at_clients, _STEP),
                (self._look_at_progress, 3 * _STEP),
            )
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def figures(self) -> accuracy.Figures | None:
        return accuracy.of(self.samples.seen())

    def _repeat(self, look: Callable[[], None], seconds: float) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                look()
            except (Refused, requests.RequestException, libvirt.libvirtError) as error:
                self.samples.errors.append(f"{look.__name__}: {error}"[:400])
            self._over.wait(max(0.0, seconds - (time.monotonic() - began)))

    # -- each of these is a thread -----------------------------------------------------------------

    def _look_at_job(self) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            connection = libvirt.openReadOnly(self._uri)
            with contextlib.closing(connection):
                # Until the domain has left the host, or its libvirtd ends.
                domain = connection.lookupByUUIDString(self.server.uuid)
                while not self._over.wait(_STEP):
                    stats = domain.jobStats()
                    if stats.get("type"):
                        self.samples.jobs.append((time.monotonic(), stats))

    def _look_at_record(self) -> None:
        records = self._bench.records(self.server)
        record = records[0] if records and records[0]["uuid"] not in self._old else None
        self.samples.records.append((time.monotonic(), record))

    def _look_at_progress(self) -> None:
        shown = self._bench.shown(self.server)
        is_moving = shown["status"] == "MIGRATING"
        value = shown.get("progress") if is_moving else None
        self.samples.progress.append((time.monotonic(), value))

    def _look_at_clients(self) -> None:
        nova = self._list()
        listed = nova
        for proxy in self._bench.lab.proxies:
            before = client_view.names(listed)
            seen = client_view.names(self._list(proxy))
            listed = self._list()
            after = client_view.names(listed)
            self.samples.moments.append(
                client_view.Moment(round(time.time(), 3), proxy, before, seen, after)
            )
        self._counter += 1
        if self._counter % _COMPARED == 0:
            self._compare(nova)

    def _compare(self, before: list[Document]) -> None:
        """Compare migprog's list with Nova's, if Nova's status was the same before and after."""
        path = f"/v2.1/servers/{self.server.uuid}/migrations"
        try:
            ours = {each["uuid"]: each for each in self._bench.cloud.migprog(path)["migrations"]}
        except Refused:
            return
        known = {each["uuid"]: each for each in before}
        for nova in self._list():
            old = known.get(nova["uuid"])
            if old and old["status"] == nova["status"] and nova["uuid"] in ours:
                self.samples.differences += between(
                    self._case, "server-migrations", nova, ours[nova["uuid"]]
                )

    def _list(self, proxy: str | None = None) -> list[Document]:
        """Return the server's migrations as Nova or a proxy lists them; a 404 is an empty list."""
        path = f"/servers/{self.server.uuid}/migrations"
        try:
            found: list[Document] = self._bench.cloud.nova("GET", path, by=proxy)["migrations"]
        except Refused as refused:
            if refused.code == 404:
                return []
            raise
        return found


def as_json(moment: client_view.Moment) -> dict[str, Any]:
    """Return a moment as JSON for a file."""
    return dataclasses.asdict(moment)

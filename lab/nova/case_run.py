# SPDX-License-Identifier: Apache-2.0
"""One run of a case: what is watched and expected, and the result."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.nova import accuracy, client_view
from lab.nova.differences import Difference, between
from lab.nova.operations import Document, Operations, Server
from lab.nova.watch import Watch

_SETTLE_SECONDS = 40.0


@dataclass
class Result:
    """What a case showed; everything but ``runs`` is a fault unless it is empty."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    false_records: list[str] = field(default_factory=list)
    missing_records: list[str] = field(default_factory=list)
    hidden: list[client_view.Moment] = field(default_factory=list)
    foreign: list[client_view.Moment] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    moments: int = 0
    more: dict[str, Any] = field(default_factory=dict)


class CaseRun:
    """Cases act through this; ``result`` is complete after :meth:`finish`."""

    def __init__(self, operations: Operations, case: str) -> None:
        self.operations = operations
        self.case = case
        self.result = Result()
        self._expected: dict[Server, int] = {}
        self._discarded: list[Server] = []
        self._watches: list[Watch] = []

    def boot(self, image: str, host: str = "host-a") -> Server:
        """A server whose records are looked at in the end."""
        server = self.operations.boot(image, host)
        self._expected[server] = 0
        return server

    @contextlib.contextmanager
    def watching(
        self, server: Server, completes: bool = True, agents_run: bool = True
    ) -> Iterator[Watch]:
        """Watch one migration, of which there shall be a record. Of one that does not complete, no
        percentage is true or false; while no agent runs, figures grow old."""
        self.expect(server)
        watch = Watch(self.operations, self.case, server, self.operations.host_of(server))
        with watch:
            yield watch
        self._watches.append(watch)
        self._add_run(watch, completes, agents_run)

    def expect(self, server: Server) -> None:
        """Expect one more record of a server in the end."""
        self._expected[server] += 1

    def discard(self, server: Server) -> None:
        """Look at no record of a server in the end."""
        del self._expected[server]
        self._discarded.append(server)

    def require(self, condition: object, what: str) -> None:
        """Add an error unless the condition is true."""
        if not condition:
            self.result.faults.append(f"{self.case}: {what}")

    def _add_run(self, watch: Watch, completes: bool, agents_run: bool) -> None:
        found = watch.figures()
        run = dict.fromkeys(field.name for field in dataclasses.fields(accuracy.Figures))
        run |= dataclasses.asdict(found) if found else {}
        if not completes:
            run |= dict.fromkeys(("percent_mean_distance", "nova_mean_distance"))
        if not agents_run:
            run["oldest_figure_seconds"] = None
        self.result.runs.append({"name": self.case, "migrations": 1, **run})
        self.result.moments += len(watch.samples.moments)
        self.result.differences += watch.samples.differences
        self.result.hidden += client_view.hidden(watch.samples.moments)
        for error, count in collections.Counter(watch.samples.errors).items():
            self.result.faults.append(f"{self.case}: {count} times: {error}")

    # -- the end ----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Compare all records of the servers with Nova's rows, and delete the servers."""
        for server, expected in self._expected.items():
            self._settle(server, expected)
            self._compare(server, expected)
        for server in (*self._expected, *self._discarded):
            with contextlib.suppress(Exception):
                self.operations.delete(server)

    def _settle(self, server: Server, expected: int) -> None:
        """Wait until the records have ended and have Nova's names, but not for ever."""

        def settled(records: list[Document]) -> bool:
            named = [each for each in records if each["nova_id"] and not each["in_progress"]]
            return len(records) == len(named) >= expected and self._has_ended_in_nova(server)

        give_up_at = time.monotonic() + _SETTLE_SECONDS
        while not settled(self.operations.records(server)) and time.monotonic() < give_up_at:
            time.sleep(0.5)

    def _has_ended_in_nova(self, server: Server) -> bool:
        """Nova writes the end of a migration after that of what it does to the server. It shows no
        links of one in post-copy, "running (post-copy)", as if that had ended."""
        rows = self.operations.rows(server)
        return not any("links" in row or row["status"].startswith("running") for row in rows)

    def _compare(self, server: Server, expected: int) -> None:
        rows = {row["uuid"]: row for row in self.operations.rows(server)}
        records = self.operations.records(server)
        for record in records:
            what = f"{self.case}: {record['uuid']}, {record['status']},"
            if record["nova_uuid"] is None and len(records) <= expected:
                self.result.faults.append(f"{what} has no name of Nova's")
            elif record["nova_uuid"] not in rows:
                self.result.false_records.append(f"{what} is {record['nova_uuid']} in Nova")
        missing = expected - len(records)
        if missing > 0:
            self.result.missing_records.append(f"{self.case}: {missing} of {server.name}")
        for ours in self._in_novas_words(server):
            if ours["uuid"] in rows:
                self.result.differences += between(
                    self.case, "os-migrations", rows[ours["uuid"]], ours
                )
        mine = [watch for watch in self._watches if watch.server == server]
        moments = [moment for watch in mine for moment in watch.samples.moments]
        self.result.foreign += client_view.foreign(moments, client_view.names(rows.values()))

    def _in_novas_words(self, server: Server) -> list[Document]:
        path = f"/v2.1/os-migrations?instance_uuid={server.uuid}"
        return list(self.operations.cloud.migprog(path)["migrations"])

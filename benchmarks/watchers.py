# SPDX-License-Identifier: Apache-2.0
"""What many watchers of lists cost an API process, against as many clients that poll the list.

    .venv/bin/python benchmarks/watchers.py [--watchers 1000] [--migrations 100] [--rounds 8]
        [--changing 0] [--plain] [--no-polling]

The API is a process of its own, asked over loopback, on a private MariaDB server that is started
for this. A tenth of the migrations change at a time (``--changing``: how many), in all projects;
every other client asks for one project, the others for all. A change is late by the time from its
being stored to the last client's answer, less the list's interval. Clients accept gzip, as browsers
and ``migprog watch`` do (``--plain``: do not), and look into each body once, however many of them
get it: with an API in use this work is that of many machines.
"""

import argparse
import asyncio
import functools
import pathlib
import re
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from lab.parts import databases
from migprog import objects
from migprog.core.messages import Report
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.test_api import serving

_GOAL_LATE_SECONDS, _GOAL_MIB = 1.0, 300.0
_PROJECTS = 7
# Of a change: no migration is as far before, and each change is further.
_FIRST_PERCENT = 90
_HEAD = (
    "GET /migrations?in_progress=true{} HTTP/1.1\r\nHost: localhost\r\n"
    "OpenStack-API-Version: migration-progress 1.4\r\nAccept-Encoding: {}\r\n\r\n"
)
_GZIP = b"\x1f\x8b"
# With blanks or without, as the API writes its documents.
_PERCENT = re.compile(rb'"percent": ?([0-9]*)')
_CURSOR = re.compile(rb'"cursor": ?"([^"]+)"')
_MOST_OF_CURSOR = 200


@functools.lru_cache(maxsize=32)
def _read(body: bytes) -> tuple[int | None, str]:
    """Return the percentage of the newest record of an answer, and its cursor."""
    text = zlib.decompress(body, wbits=31) if body.startswith(_GZIP) else body
    # The change that is measured is in the percentage of the newest record.
    percent = _PERCENT.search(text)
    cursor = _CURSOR.search(text, max(0, len(text) - _MOST_OF_CURSOR))
    # A percentage may be null. A list that was not asked for news has no cursor.
    known = int(percent[1]) if percent and percent[1] else None
    return known, cursor[1].decode() if cursor else ""


@dataclass(slots=True)
class Client:
    """A connection that asks again and again. ``seen``: when which percentage was first seen."""

    query: str
    coding: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    cursor: str = ""
    answers: int = 0
    seen: dict[int, float] = field(default_factory=dict)

    async def ask(self, more: str) -> str:
        """Return the cursor of the answer, empty if it has none."""
        self.writer.write(_HEAD.format(self.query + more, self.coding).encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        body = await self.reader.readexactly(length)
        at = time.monotonic()
        assert head.startswith(b"HTTP/1.1 200"), body
        self.answers += 1
        percent, cursor = _read(body)
        if percent is not None:
            self.seen.setdefault(percent, at)
        return cursor

    async def watch(self) -> None:
        since = ""
        while True:
            since = "&since=" + await self.ask("&wait=30" + since)

    async def poll(self, interval_seconds: float) -> None:
        while True:
            began = time.monotonic()
            await self.ask("")
            await asyncio.sleep(max(0.0, began + interval_seconds - time.monotonic()))


@dataclass(slots=True)
class Outcome:
    late_seconds: float
    mib: float
    cpu_seconds: float
    statements_per_second: float
    answers_per_second: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("watchers", 1000), ("migrations", 100), ("rounds", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--changing", type=int, default=0, help="0: a tenth of the migrations")
    parser.add_argument("--plain", action="store_true", help="ask for no compression")
    parser.add_argument("--no-polling", action="store_true", help="do not compare with polling")
    options = parser.parse_args(arguments)
    needed = options.watchers + 500
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(needed, _soft)), hard))
    found = {}
    options.changing = options.changing or max(_PROJECTS, options.migrations // 10)
    print(
        f"{options.migrations} migrations, {options.changing} change at a time, an interval of "
        f"{options.interval:g} s, {options.rounds} changes\n"
        f"{'':26} late s   MiB  CPU s/change  statements/s  answers/s"
    )
    counts = {"watcher": 1, "watchers": options.watchers}
    if not options.no_polling:
        counts["polling"] = options.watchers
    for what, count in counts.items():
        with databases.mariadb() as server:
            outcome = found[what] = _measured(options, server, count, what == "polling")
        print(
            f"{f'{count} {what}':24} {outcome.late_seconds:8.2f} {outcome.mib:5.0f} "
            f"{outcome.cpu_seconds:13.2f} {outcome.statements_per_second:13.2f} "
            f"{outcome.answers_per_second:10.1f}",
            flush=True,
        )
    one, many, polls = found["watcher"], found["watchers"], found.get("polling")
    if polls is not None:
        print(
            f"\npolling against watching: "
            f"{polls.statements_per_second / many.statements_per_second:.0f} times the "
            f"statements, {polls.cpu_seconds / max(many.cpu_seconds, 0.001):.1f} times the "
            f"processor a change, {polls.late_seconds - many.late_seconds:.1f} s later"
        )
    met = (
        many.late_seconds <= _GOAL_LATE_SECONDS
        and many.mib <= _GOAL_MIB
        and many.statements_per_second <= 1.1 * one.statements_per_second + 0.1
    )
    print(
        f"goal: the slowest within {_GOAL_LATE_SECONDS:g} s, {_GOAL_MIB:.0f} MiB, the statements "
        f"of one watcher: {'met' if met else 'NOT met'}"
    )
    return 0 if met else 1


def _measured(
    options: argparse.Namespace, server: databases.Server, count: int, polls: bool
) -> Outcome:
    url = server.new_database()
    store = stores.ready(url)
    made = migrations.fill(store, options.migrations)
    more = (
        f"max_connections_per_client = {options.watchers + 100}\n"
        f"max_watchers = {options.watchers}\nnews_interval = {options.interval}\n"
    )
    with (
        tempfile.TemporaryDirectory(prefix="migprog-benchmark-") as directory,
        serving(pathlib.Path(directory), url, "threading", more) as (api, program),
    ):
        process = psutil.Process(program.process.pid)
        port = int(api.rpartition(":")[2])
        outcome = asyncio.run(_followed(options, store, made, port, process, count, polls))
    store.close()
    return outcome


async def _followed(
    options: argparse.Namespace,
    store: objects.Store,
    made: list[Report],
    port: int,
    process: psutil.Process,
    count: int,
    polls: bool,
) -> Outcome:
    clients, tasks = [], []
    for number in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        project = f"&project_id=project-{number % _PROJECTS}" if number % 2 else ""
        client = Client(project, "identity" if options.plain else "gzip", reader, writer)
        clients.append(client)
        follow = client.poll(options.interval) if polls else client.watch()
        tasks.append(asyncio.create_task(follow))
    while not all(each.answers for each in clients):
        await _alive(tasks)
    # Polls of many clients take long, and show the same each time.
    rounds = 1 if polls else options.rounds
    changing = made[-options.changing :]
    lates = []
    with stores.statements(store) as ours:
        began, used = time.monotonic(), sum(process.cpu_times()[:2])
        selects, answers = _selects(store), sum(each.answers for each in clients)
        for percent in range(_FIRST_PERCENT, _FIRST_PERCENT + rounds):
            changing = [
                stores.later(each, sampled_at=time.time(), percent=percent) for each in changing
            ]
            await asyncio.to_thread(migrations.store, store, *changing)
            stored = time.monotonic()
            while not all(percent in each.seen for each in clients):
                await _alive(tasks)
            slowest = max(each.seen[percent] for each in clients)
            lates.append(slowest - stored - options.interval)
        took = time.monotonic() - began
        used = sum(process.cpu_times()[:2]) - used
        answers = sum(each.answers for each in clients) - answers
        # The API's alone: the database counts those of this process, too.
        selects = _selects(store) - selects - sum("SELECT" in each for each in ours)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients:
        client.writer.close()
    return Outcome(
        max(lates), _most_mib(process.pid), used / rounds, selects / took, answers / took
    )


async def _alive(tasks: Sequence["asyncio.Task[None]"]) -> None:
    await asyncio.sleep(0.02)
    for each in tasks:
        if each.done():
            each.result()


def _most_mib(pid: int) -> float:
    """Return the most resident memory that a process has had."""
    (line,) = (
        each
        for each in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        if each.startswith("VmHWM")
    )
    return int(line.split()[1]) / 2**10


def _selects(store: objects.Store) -> int:
    with store.engine.connect() as connection:
        row = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Com_select'").one()
    return int(row[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

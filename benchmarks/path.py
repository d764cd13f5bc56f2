# SPDX-License-Identifier: Apache-2.0
"""The whole path of a migration's progress, from host to database: ours beside the naive shape.

    .venv/bin/python benchmarks/path.py [--runs 5] [--seconds 20] [--driver mysqldb] [--durable]

Both take the same load on the same RabbitMQ and MariaDB, in turn, several times. What counts is
the ratio of the processors' time that an update takes: agent, conductor, broker and database
together.
"""

import argparse
import contextlib
import json
import pathlib
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import no_eventlet  # noqa: F401
import psutil

from lab.parts import broker, databases
from migprog import conf, context, rpc
from migprog.concurrency import native_queue
from migprog.loadtest import child, usage
from migprog.tests import stores

HERE = pathlib.Path(__file__).parent
INTERVAL_SECONDS = 2.0
_READY_SECONDS = 60.0
_PROCESSES = ("agent", "conductor", "broker", "database")


@dataclass(frozen=True)
class Case:
    """A load, and how much less than in the naive shape an update may cost."""

    hosts: int
    per_host: int
    goal: float


# At the default both have as many migrations as the naive shape can bear: its conductor's processor
# is full with some 200 updates a second.
HOSTS = 10


def cases(hosts: int) -> tuple[Case, Case]:
    return Case(hosts, 20, 1 / 25), Case(20 * hosts, 1, 1 / 4)


class Bench:
    """A broker, a database, and who uses them in turn."""

    def __init__(
        self, config_file: pathlib.Path, seconds: float, ours: pathlib.Path | None = None
    ) -> None:
        self.config_file = config_file
        self._ours = ours or config_file
        self._seconds = seconds
        self.config = conf.load(["--config-file", str(config_file)], "path")
        at_broker = rpc.broker(self.config)
        url = stores.sa.make_url(self.config.database.connection)
        self.others = {
            "broker": usage.listening((at_broker.host, at_broker.port)),
            "database": usage.listening((url.host, url.port)),
        }

    def ours(self, case: Case, conductors: int = 1) -> dict[str, float]:
        """CPU milliseconds an update, by process."""
        done = subprocess.run(
            [
                pathlib.Path(sys.executable).with_name("migprog-loadtest"),
                *("--config-file", self._ours, "--in-place", "--json", "-"),
                *("--hosts", str(case.hosts), "--per-host", str(case.per_host)),
                *("--conductors", str(conductors)),
                *("--interval", str(INTERVAL_SECONDS), "--seconds", str(self._seconds)),
                # The naive shape knows no beginnings and no ends: ours has none to tell here.
                *("--migration-seconds", "86400"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        figures: dict[str, Any] = json.loads(done.stdout)
        others = {name: figures[name] for name in ("updates_per_second", "updates_per_transaction")}
        return others | figures["cpu_ms_per_update"]

    def naive(self, case: Case) -> dict[str, float]:
        """As :meth:`ours`."""
        migrations = case.hosts * case.per_host
        with (
            tempfile.TemporaryDirectory() as directory,
            self._naive(directory, "conductor") as conductor,
            self._naive(directory, "agent", migrations, INTERVAL_SECONDS) as agent,
        ):
            processes = {"agent": [agent.usage], "conductor": [conductor.usage], **self.others}
            time.sleep(3 * INTERVAL_SECONDS)
            saved, before = self._saved(), {n: _cpu_seconds(p) for n, p in processes.items()}
            time.sleep(self._seconds)
            updates = self._saved() - saved
            after = {name: _cpu_seconds(found) for name, found in processes.items()}
        cpu = {name: 1000 * (after[name] - before[name]) / updates for name in processes}
        return {"updates_per_second": updates / self._seconds, **cpu, "total": sum(cpu.values())}

    @contextlib.contextmanager
    def _naive(self, directory: str, role: str, *words: Any) -> Iterator[child.Child]:
        lines: queue.SimpleQueue[child.Line] = native_queue()
        arguments = [str(HERE / "naive.py"), role, str(self.config_file), *map(str, words)]
        with child.running(
            ["-W", "ignore", *arguments], pathlib.Path(directory), role, lines
        ) as it:
            with contextlib.suppress(queue.Empty):
                lines.get(timeout=_READY_SECONDS)
            it.check()
            yield it

    def _saved(self) -> int:
        transport = rpc.transport(self.config)
        client = rpc.client(transport, "naive-conductor", "1.0", _READY_SECONDS)
        saved: int = client.call(context.for_service(), "count")
        transport.cleanup()
        return saved


def say(text: str) -> None:
    """Show how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    found = usage.used(processes)
    if found is None:
        raise RuntimeError("a process that is measured has ended")
    return found.cpu_seconds


def median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def ready(
    rabbitmq: broker.Broker,
    mariadb: databases.Server,
    directory: pathlib.Path,
    seconds: float,
    driver: str | None = None,
) -> Bench:
    """Make the tables and the configuration of a bench."""
    url = mariadb.new_database()
    stores.ready(url).close()
    config_file = directory / "path.conf"
    # The naive shape has many transactions at once. Beyond the pool of 5 connections each would
    # open one of its own, which doubles its cost: because of the default.
    text = f"[DEFAULT]\ntransport_url = {rabbitmq.url}\n"
    # One sample for each update, as the naive shape has it.
    text += f"[compute]\npoll_interval = {INTERVAL_SECONDS}\n[database]\nmax_pool_size = 100\n"
    config_file.write_text(f"{text}connection = {url}\n")
    ours = None
    if driver is not None:
        ours = directory / "ours.conf"
        ours.write_text(f"{text}connection = {stores.by_driver(url, driver)}\n")
    return Bench(config_file, seconds, ours)


def print_head() -> None:
    """Print what the columns of :func:`print_row` are."""
    print(f"{'':24}" + "".join(f"{name:>11}" for name in (*_PROCESSES, "total", "updates/s")))


def print_row(label: str, figures: Mapping[str, float]) -> None:
    values = (figures[key] for key in (*_PROCESSES, "total", "updates_per_second"))
    print(f"{label:24}" + "".join(f"{value:11.2f}" for value in values), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--hosts", type=int, default=HOSTS, help="with 20 migrations each")
    parser.add_argument("--driver", choices=["mysqldb"], help="of ours; default: PyMySQL")
    parser.add_argument("--durable", action="store_true", help="MariaDB that loses nothing")
    options = parser.parse_args()
    met = True
    with (
        broker.rabbitmq() as rabbitmq,
        databases.mariadb(durable=options.durable) as mariadb,
        tempfile.TemporaryDirectory() as directory,
    ):
        bench = ready(rabbitmq, mariadb, pathlib.Path(directory), options.seconds, options.driver)
        durability = "at each commit" if options.durable else "once a second"
        print(f"driver {options.driver or 'pymysql'}; MariaDB writes to disk {durability}")
        print(f"CPU ms an update; medians of {options.runs} runs of {options.seconds:g} s each")
        print_head()
        for case in cases(options.hosts):
            runs = []
            for number in range(options.runs):
                say(f"{case.hosts} hosts x {case.per_host}, run {number + 1} of {options.runs}")
                runs.append((bench.naive(case), bench.ours(case)))
            naive, ours = (median([run[i] for run in runs]) for i in (0, 1))
            for name, figures in (("naive", naive), ("ours", ours)):
                print_row(f"{case.hosts} hosts x {case.per_host}, {name}", figures)
            ratio = statistics.median(b["total"] / a["total"] for a, b in runs)
            met &= ratio <= case.goal
            print(
                f"  ours is 1/{1 / ratio:.1f} of the naive shape; the goal is 1/{1 / case.goal:g}"
            )
    print(f"goals {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

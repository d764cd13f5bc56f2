# SPDX-License-Identifier: Apache-2.0
"""``migprog-loadtest``: measure what a report interval costs on this broker and database."""

from migprog import concurrency
from migprog.cmd import extras

# This process uses native threads with any oslo.service; the processes that do the work choose as
# the services do.
concurrency.prefer_threads()
extras.require("migprog-loadtest", "psutil", "loadtest")

import argparse  # noqa: E402
import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import secrets  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

from oslo_config import cfg  # noqa: E402

from migprog import conf, exception  # noqa: E402
from migprog.core.schedule import STEP_POINTS  # noqa: E402
from migprog.loadtest import limit, table  # noqa: E402
from migprog.loadtest.plan import (  # noqa: E402
    CONNECTIONS,
    MOST_CONNECTIONS,
    MOST_HOSTS,
    NO_STEPS,
    Load,
)
from migprog.version import RELEASE  # noqa: E402

# Broker, database and what plays the hosts are imported where they are used: --help, --version and
# wrong arguments need none of it.
if TYPE_CHECKING:
    from migprog.loadtest.place import Place
    from migprog.loadtest.run import Setting

PROG = "migprog-loadtest"
_Figures = dict[str, Any]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description="Simulate hosts whose servers migrate continuously, and idle ones, let real "
        "conductors store what they send, and measure the cost and the age of the data when it "
        "can be read.",
    )
    parser.add_argument("--version", action="version", version=RELEASE)
    where = parser.add_argument_group("where")
    where.add_argument(
        "--config-file",
        action="append",
        metavar="FILE",
        help="configuration with broker and database, as for migprog-conductor; default: as there",
    )
    where.add_argument("--transport-url", metavar="URL", help="overrides [DEFAULT] transport_url")
    where.add_argument("--database", metavar="URL", help="overrides [database] connection")
    where.add_argument(
        "--in-place",
        action="store_true",
        help="use that virtual host and database themselves, and delete afterwards what was "
        "stored; default: create a virtual host and a database beside them, and delete these "
        "afterwards",
    )
    where.add_argument(
        "--conductors",
        type=_number(0, 64),
        default=1,
        metavar="N",
        help="number of conductors to start; 0, with --in-place: use the running ones; "
        "default %(default)s",
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "--hosts",
        type=_number(0, MOST_HOSTS),
        default=50,
        help="number of simulated hosts; default %(default)s; 0 must go with --idle-hosts",
    )
    what.add_argument(
        "--idle-hosts",
        type=_number(0, MOST_HOSTS),
        default=0,
        metavar="N",
        help="number of further hosts, which only send heartbeats; default %(default)s",
    )
    what.add_argument(
        "--idle-connections",
        type=_number(0, len(CONNECTIONS) - 1),
        default=0,
        metavar="N",
        help="broker connections of each idle host: "
        + "; ".join(f"{count}: {meaning}" for count, meaning in enumerate(CONNECTIONS))
        + f"; at most {MOST_CONNECTIONS} in all; default %(default)s",
    )
    what.add_argument(
        "--per-host",
        type=_number(1, 500),
        default=1,
        metavar="N",
        help="migrations of each host at a time; default 1, as Nova's default limit",
    )
    what.add_argument(
        "--interval",
        type=float,
        metavar="SECONDS",
        help="report interval; default: [compute] report_interval",
    )
    what.add_argument(
        "--seconds", type=float, default=60.0, help="time to measure, after a warm-up; default 60"
    )
    what.add_argument(
        "--recordings",
        nargs="+",
        metavar="FILE",
        help="recordings of migrations by migprog-compute; default: some included ones",
    )
    what.add_argument(
        "--migration-seconds",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="average duration of a migration; recordings are stretched to it; default 300",
    )
    what.add_argument(
        "--processes",
        type=_number(1, 64),
        default=min(4, os.cpu_count() or 1),
        metavar="N",
        help="processes that simulate the hosts; default %(default)s",
    )
    many = what.add_mutually_exclusive_group()
    many.add_argument(
        "--sweep",
        type=_intervals,
        metavar="SECONDS,...",
        help="one run for each of these intervals",
    )
    many.add_argument(
        "--compare",
        action="store_true",
        help="two runs: reports at the interval only, then also as the percentage moves, as "
        "agents send them",
    )
    many.add_argument(
        "--find-limit",
        action="store_true",
        help="search the largest number of hosts, starting at --hosts, for which 95 %% of the "
        f"shown data is no older than the interval and {limit.SLACK_SECONDS:g} s",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the figures to this file; - is the standard output"
    )
    return parser.parse_args(argv)


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a whole number from {least} to {most}"
            )
        return int(text)

    return number


def _intervals(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds, as in 1,2,5,10") from None


def _named(arguments: argparse.Namespace) -> "tuple[cfg.ConfigOpts, Place]":
    """Return the configuration, and the broker and database from it or the command line."""
    from migprog import rpc
    from migprog.db import connections
    from migprog.loadtest.place import Place

    words = [word for path in arguments.config_file or [] for word in ("--config-file", path)]
    config = conf.load(words, PROG)
    connections.register_opts(config)
    # oslo.messaging registers its options when it is first used.
    transport_url = arguments.transport_url or rpc.configured_url(config)
    database_url = arguments.database or config.database.connection
    if not database_url:
        raise exception.ConfigError("[database] connection: is not set; or give --database")
    return config, Place(transport_url, database_url)


@contextlib.contextmanager
def _setting(arguments: argparse.Namespace) -> "Iterator[tuple[cfg.ConfigOpts, Setting]]":
    from migprog import objects, rpc
    from migprog.db import schema, temporary_database
    from migprog.loadtest import conductors, place, stream
    from migprog.loadtest.run import Setting

    config, named = _named(arguments)
    # Fail early if they cannot be read: the processes that play them are started last.
    recordings = tuple(arguments.recordings or stream.DEFAULT)
    stream.load(recordings, arguments.migration_seconds)
    name = secrets.token_hex(4)
    if not arguments.conductors and not arguments.in_place:
        raise exception.ConfigError("--conductors: 0 must go with --in-place")
    with contextlib.ExitStack() as stack:
        if arguments.in_place:
            at_work = place.conductors_answer(config, named)
            if at_work and arguments.conductors:
                raise exception.ConfigError(
                    "--in-place: conductors are running there; measure them with --conductors 0, "
                    "or stop them"
                )
            if not at_work and not arguments.conductors:
                raise exception.ConfigError("--conductors: 0, but no conductor answers there")
            where = stack.enter_context(place.in_use(named))
        else:
            _say("creating a virtual host and a database for the test")
            where = stack.enter_context(place.made(config, named, name))
        directory = pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="migprog-loadtest-"))
        )
        config_files = (*map(str, config.config_file or []), _written(where, directory))
        config.set_override("connection", where.database_url, "database")
        store = objects.connect(config)
        stack.callback(store.close)
        schema.sync(store)
        if arguments.conductors:
            _say(f"starting {arguments.conductors} conductor(s)")
            at = stack.enter_context(
                conductors.started(arguments.conductors, config_files, directory)
            )
        else:
            at = conductors.found()
        broker = rpc.broker(config, where.transport_url)
        yield (
            config,
            Setting(
                directory=directory,
                config_files=config_files,
                recordings=recordings,
                fleets=arguments.processes,
                conductors=at,
                store=store,
                broker=(broker.host, broker.port),
                database=temporary_database.address(where.database_url),
                say=_say,
            ),
        )


def _written(where: "Place", directory: pathlib.Path) -> str:
    """Write a configuration file with the place, for the processes that are started."""
    path = directory / "place.conf"
    path.touch(mode=0o600)
    # oslo.config would take "$" for a reference to an option.
    transport_url, connection = (
        url.replace("$", "$$") for url in (where.transport_url, where.database_url)
    )
    path.write_text(
        f"[DEFAULT]\ntransport_url = {transport_url}\n[database]\nconnection = {connection}\n"
    )
    return str(path)


def _runs(
    config: cfg.ConfigOpts, setting: "Setting", arguments: argparse.Namespace
) -> list[_Figures]:
    from migprog.loadtest.run import run

    def load(hosts: int, interval: float, step_points: int = STEP_POINTS) -> Load:
        return Load(
            hosts=hosts,
            per_host=arguments.per_host,
            interval_seconds=interval,
            heartbeat_seconds=max(interval, config.compute.heartbeat_interval),
            step_points=step_points,
            poll_seconds=min(interval, config.compute.poll_interval),
            migration_seconds=arguments.migration_seconds,
            seconds=arguments.seconds,
            idle_hosts=arguments.idle_hosts,
            idle_connections=arguments.idle_connections,
        )

    interval = arguments.interval or config.compute.report_interval
    if arguments.compare:
        loads = [load(arguments.hosts, interval, points) for points in (NO_STEPS, STEP_POINTS)]
        return [run(setting, each) for each in loads]
    if arguments.find_limit and not arguments.hosts:
        raise exception.ConfigError("--hosts: 0 must not go with --find-limit")
    if not arguments.find_limit:
        loads = [load(arguments.hosts, each) for each in arguments.sweep or [interval]]
        return [run(setting, each) for each in loads]
    found: dict[int, _Figures] = {}
    hosts: int | None = arguments.hosts
    while hosts is not None:
        figures = run(setting, load(hosts, interval))
        found[hosts] = figures | {"kept_up": limit.kept_up(figures)}
        _say(f"{hosts} hosts: {'kept up' if found[hosts]['kept_up'] else 'did not keep up'}")
        tried = {size: figures["kept_up"] for size, figures in found.items()}
        hosts = limit.next_hosts(tried, arguments.hosts)
    return [found[size] for size in sorted(found)]


def _say(text: str) -> None:
    print(f"{PROG}: {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    try:
        with _setting(arguments) as (config, setting):
            results = _runs(config, setting, arguments)
    except exception.MigprogError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    is_list = arguments.sweep or arguments.compare or arguments.find_limit
    document: Any = results if is_list else results[0]
    if arguments.json == "-":
        print(json.dumps(document, indent=2))
        return 0
    print(table.text(results))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")
    return 0

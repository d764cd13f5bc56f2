# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

import argparse
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from migprog.cli import queries
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Status

_T = TypeVar("_T")

STATUSES = tuple(each.value for each in Status)
VERDICTS = tuple(each.value for each in Verdict)
_SHORTEST_INTERVAL_SECONDS = 0.5


def _checked(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Return an argument's type whose errors argparse shows."""

    def checked(given: str) -> _T:
        try:
            return parse(given)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _seconds(least: float) -> Callable[[str], float]:
    def parse(given: str) -> float:
        with contextlib.suppress(ValueError):
            if least <= (value := float(given)) < float("inf"):
                return value
        raise ValueError(f"{given!r} must be a number of seconds, at least {least:g}")

    return _checked(parse)


def _count(given: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(given)) >= 1:
            return value
    raise ValueError(f"{given!r} must be a whole number, at least 1")


def _named(given: str) -> str:
    """Refuse what a script has left empty, which would select everything."""
    if not given.strip():
        raise ValueError(f"{given!r} must not be empty")
    return given


name = _checked(_named)


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Add the options by which ``list`` and ``watch`` select migrations."""
    parser.add_argument(
        "--host",
        type=name,
        metavar="<host>",
        help="only migrations from or to this host, by its Nova name",
    )
    parser.add_argument(
        "--project",
        type=name,
        metavar="<project>",
        help="only migrations of this project's servers",
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the further options by which ``list`` selects migrations."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--ended", action="store_true", help="migrations that have ended, the newest first"
    )
    which.add_argument(
        "--all", action="store_true", help="migrations in progress and ended, the newest first"
    )
    parser.add_argument(
        "--server", type=name, metavar="<server>", help="only of this server, name or UUID"
    )
    parser.add_argument("--status", choices=STATUSES, metavar="<status>", help=_choices(STATUSES))
    parser.add_argument("--verdict", choices=VERDICTS, metavar="<verdict>", help=_choices(VERDICTS))
    parser.add_argument(
        "--changed-since",
        type=name,
        metavar="<instant>",
        help="only those whose record changed then or later, such as 2026-09-01T12:00:00Z",
    )


def _choices(words: tuple[str, ...]) -> str:
    return "one of: " + ", ".join(words)


def add_order(parser: argparse.ArgumentParser) -> None:
    """Add the options that order and page a list."""
    parser.add_argument(
        "--sort",
        type=_checked(queries.parse_sort),
        metavar="<key>[:<direction>]",
        help=f"sort by one of {', '.join((*queries.SORT_KEYS, *queries.API_SORT_KEYS))}; asc or "
        "desc; default: trouble for those in progress, else created_at:desc",
    )
    parser.add_argument(
        "--limit", type=_checked(_count), metavar="<count>", help="at most so many migrations"
    )
    parser.add_argument(
        "--marker",
        type=name,
        metavar="<uuid>",
        help="only those after the migration with this UUID",
    )
    parser.add_argument("--long", action="store_true", help="show more columns")


def add_server(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the arguments that name one migration; ``nargs``: ``?`` where there may be none."""
    parser.add_argument(
        "server", type=name, metavar="<server>", nargs=nargs, help="UUID or name of a server"
    )
    parser.add_argument(
        "migration",
        type=name,
        metavar="<migration>",
        nargs="?",
        help="number or UUID of its migration; default: the newest",
    )


def add_forecast(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``forecast``."""
    parser.add_argument("server", type=name, metavar="<server>", help="UUID or name of a server")
    parser.add_argument(
        "--dest",
        type=name,
        metavar="<host>",
        help="to this host, by its Nova name; default: to any",
    )
    parser.add_argument(
        "--block-migration", action="store_true", help="the server's local disks are copied, too"
    )
    parser.add_argument(
        "--auto-converge",
        action="store_true",
        help="QEMU may slow the server down, as nova-compute lets it by its options",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="have the server measured first; without it, what was measured last counts",
    )
    parser.add_argument(
        "--host",
        type=name,
        metavar="<host>",
        help="the host that the server is on, by its Nova name: needed with --measure for a server "
        "that has neither migrated nor been measured",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds(0.0),
        default=300.0,
        metavar="<seconds>",
        help="with --measure: how long to wait; default %(default)g",
    )
    parser.add_argument("--long", action="store_true", help="show what it rests on, too")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``plan``."""
    parser.add_argument(
        "host", type=name, metavar="<host>", help="a compute host, by its Nova name"
    )
    parser.add_argument(
        "--dest",
        type=name,
        action="append",
        metavar="<host>",
        help="a host that servers may go to, by its Nova name; may be repeated",
    )
    parser.add_argument(
        "--at-once",
        type=_checked(_count),
        metavar="<count>",
        help="at most so many at once; default: as the plan finds best, at most 4",
    )
    parser.add_argument(
        "--network",
        dest="network_bytes_per_second",
        type=_checked(_count),
        metavar="<bytes>",
        help="bytes a second that all migrations have together; default: as one has alone",
    )
    parser.add_argument(
        "--downtime-limit",
        dest="downtime_limit_seconds",
        type=_seconds(0.001),
        metavar="<seconds>",
        help="plan with this downtime limit; default: that of each server",
    )
    parser.add_argument(
        "--deadline",
        type=name,
        metavar="<instant>",
        help="say whether the host is empty by then, such as 2026-09-01T12:00:00Z",
    )
    parser.add_argument(
        "--block-migration",
        action="store_true",
        default=None,
        help="the servers' local disks are copied, too",
    )
    parser.add_argument(
        "--auto-converge",
        action="store_true",
        default=None,
        help="QEMU may slow servers down, as nova-compute lets it by its options",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="have all servers of the host measured first, one after the other",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds(0.0),
        default=3600.0,
        metavar="<seconds>",
        help="with --measure: how long to wait; default %(default)g",
    )
    parser.add_argument(
        "--made-at",
        metavar="<instant>",
        help="the drain begins with the first migration since; default: with the first of those "
        "that follow each other until now",
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="say how the drain goes, on stderr, until it is done",
    )
    parser.add_argument(
        "--interval",
        type=_seconds(_SHORTEST_INTERVAL_SECONDS),
        default=5.0,
        metavar="<seconds>",
        help="with --follow: time between two requests; default %(default)g",
    )
    parser.add_argument("--long", action="store_true", help="show more columns")


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that go on."""
    parser.add_argument(
        "-f",
        "--format",
        choices=("live", "lines", "json"),
        help="live view, a line for each change, or a JSON document a line for each change; "
        "default: live on a terminal, else lines",
    )
    parser.add_argument(
        "--interval",
        type=_seconds(_SHORTEST_INTERVAL_SECONDS),
        default=2.0,
        metavar="<seconds>",
        help="time between two requests; longer by itself where answers take long; "
        "default %(default)g",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds(0.0),
        metavar="<seconds>",
        help="give up after so long, with exit status 6; default: never",
    )


def add_until_done(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``watch`` for scripts that wait for one migration."""
    parser.add_argument(
        "--until-done",
        action="store_true",
        help="end with the server's migration that is in progress, has just ended or begins next; "
        "exit status 0: completed, 3: failed, 4: cancelled, 5: its end is not known, "
        "6: --timeout, 7: none has begun within --start-timeout",
    )
    parser.add_argument(
        "--migration",
        type=name,
        metavar="<migration>",
        help="with --until-done: this migration of the server, by its number or UUID",
    )
    parser.add_argument(
        "--start-timeout",
        type=_seconds(0.0),
        default=60.0,
        metavar="<seconds>",
        help="with --until-done: how long a migration may take to begin; default %(default)g",
    )
    add_timeout(parser)


def scope(given: argparse.Namespace, project_id: str | None) -> dict[str, Any]:
    """Return the query of :func:`add_scope`."""
    named = {"host": given.host, "project_id": project_id}
    return {key: value for key, value in named.items() if value is not None}


def only_given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}

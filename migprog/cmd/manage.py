# SPDX-License-Identifier: Apache-2.0
"""migprog-manage: what an operator does to the database."""

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from oslo_config import cfg

from migprog import conf, exception, objects
from migprog.db import api, schema
from migprog.objects import purge

# Agents are read so many at a time.
_PAGE = 1000
_SAY_SECONDS = 5.0
_MOST_DAYS = 36_500


def _db_sync(store: api.Store, _arguments: Any) -> None:
    before = schema.version(store)
    schema.sync(store)
    after = schema.version(store)
    if before == after:
        print(f"the database is up to date (version {after})")
    else:
        print(f"the database is now at version {after} (it was at {before or 'none'})")


def _db_version(store: api.Store, _arguments: Any) -> None:
    print(schema.version(store) or "none: run migprog-manage db sync")


def _db_purge(store: api.Store, arguments: Any) -> None:
    before = datetime.now(UTC) - timedelta(days=arguments.older_than)
    if arguments.dry_run:
        old = purge.count(store, before)
        print(f"there are {_told(old)} not told of since {before:%Y-%m-%dT%H:%M:%SZ}")
        return
    said_at, old = time.monotonic(), purge.Old(0, 0, 0)
    for old in purge.remove(store, before):
        if time.monotonic() >= said_at + _SAY_SECONDS:
            said_at = time.monotonic()
            print(f"removed so far: {_told(old)}", flush=True)
    print(f"removed: {_told(old)} not told of since {before:%Y-%m-%dT%H:%M:%SZ}")


def _told(old: purge.Old) -> str:
    return f"{old.migrations} migration(s), {old.servers} server(s), {old.agents} agent(s)"


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 1 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 1 to {_MOST_DAYS}")
    return days


def _agent_list(store: api.Store, _arguments: Any) -> None:
    now = datetime.now(UTC)
    row = "{:32}{:>9}{:>9}{:>9}  {:20} {}"
    print(row.format("HOST", "HEARD", "EVERY", "MOVING", "SINCE", "VERSION"))
    marker = None
    while agents := objects.Agent.list(store, limit=_PAGE, marker=marker):
        for agent in agents:
            print(
                row.format(
                    agent.host,
                    f"{(now - agent.heard_at).total_seconds():.0f} s",
                    f"{agent.interval_seconds:g} s",
                    agent.migrations,
                    f"{agent.started_at:%Y-%m-%dT%H:%M:%SZ}",
                    agent.version,
                )
            )
        marker = agents[-1].host


def _add_commands(subparsers: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    db = subparsers.add_parser("db", help="the database's tables")
    actions = db.add_subparsers(dest="action", required=True, metavar="ACTION")
    sync = actions.add_parser("sync", help="make the tables, or bring them up to date")
    sync.set_defaults(act=_db_sync)
    removing = actions.add_parser(
        "purge",
        help="remove migrations, their servers and agents that have not been told of for long",
        description="Remove migrations that have not been told of for so many days, with their "
        "histories and the servers that they speak for, and agents as silent. That one has no end "
        "does not keep it. It is done in short transactions; conductors may be at work.",
    )
    removing.add_argument(
        "--older-than", type=_days, required=True, metavar="DAYS", help="at least 1; may be 1.5"
    )
    removing.add_argument("--dry-run", action="store_true", help="only say how many there are")
    removing.set_defaults(act=_db_purge)
    agent = subparsers.add_parser("agent", help="the agents")
    agent_actions = agent.add_subparsers(dest="action", required=True, metavar="ACTION")
    agents = agent_actions.add_parser(
        "list", help="when each was last heard of, how often it tells, and what it watches"
    )
    agents.set_defaults(act=_agent_list)
    version = actions.add_parser("version", help="print the version of the tables")
    version.set_defaults(act=_db_version)


def main() -> None:
    """Exit status 1: it could not be done, and why; 2: bad arguments."""
    command = cfg.SubCommandOpt("command", title="Commands", handler=_add_commands)
    try:
        config = conf.load(sys.argv[1:], "migprog-manage", cli_opts=[command])
        config.command.act(api.connect(config), config.command)
    except exception.MigprogError as error:
        raise SystemExit(f"migprog-manage: {error}") from error

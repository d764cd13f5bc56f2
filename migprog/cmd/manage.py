# SPDX-License-Identifier: Apache-2.0
"""migprog-manage: what an operator does to the database."""

import argparse
import sys
from datetime import UTC, datetime

from oslo_config import cfg

from migprog import conf, exception, objects
from migprog.db import api, schema

# Agents are read so many at a time.
_PAGE = 1000


def _db_sync(store: api.Store) -> None:
    before = schema.version(store)
    schema.sync(store)
    after = schema.version(store)
    if before == after:
        print(f"the database is up to date (version {after})")
    else:
        print(f"the database is now at version {after} (it was at {before or 'none'})")


def _db_version(store: api.Store) -> None:
    print(schema.version(store) or "none: run migprog-manage db sync")


def _agent_list(store: api.Store) -> None:
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
        config.command.act(api.connect(config))
    except exception.MigprogError as error:
        raise SystemExit(f"migprog-manage: {error}") from error

# SPDX-License-Identifier: Apache-2.0
"""``migprog-manage``: what an operator does to the database."""

import argparse
import sys

from oslo_config import cfg

from migprog import conf, exception

_MOST_DAYS = 36_500
_DESCRIPTION = "Create, upgrade and clean up the database, and list the agents that report to it."
_PURGE = """
Delete migrations that have ended and were last reported more than DAYS days ago, their histories,
the servers whose newest migration is among them, and agents whose last report is as old. Services
may go on running: the command works in short transactions, and may be interrupted and repeated. A
migration in progress without a report for DAYS days is kept and counted: its hypervisor may come
back and report how it ended. If it never will, --in-progress-too deletes the migration as well.
"""


def _days(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= _MOST_DAYS:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text[:64]!r} must be a whole number of days, from 1 to {_MOST_DAYS}"
    )


def _add_purge(actions: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    purge = actions.add_parser("purge", help="delete old records", description=_PURGE)
    purge.add_argument(
        "--older-than",
        type=_days,
        required=True,
        metavar="DAYS",
        help=f"days since the last report, a whole number from 1 to {_MOST_DAYS}",
    )
    purge.add_argument(
        "--dry-run", action="store_true", help="delete nothing, print how much would be deleted"
    )
    purge.add_argument(
        "--in-progress-too",
        action="store_true",
        help="also delete migrations that have not ended, if their last report is as old",
    )
    purge.set_defaults(act="purge")


def _add_commands(subparsers: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    db = subparsers.add_parser("db", help="create, upgrade or clean up the database")
    actions = db.add_subparsers(dest="action", required=True, metavar="ACTION")
    sync = actions.add_parser("sync", help="create the tables, or upgrade them")
    sync.set_defaults(act="sync")
    agent = subparsers.add_parser("agent", help="list the agents")
    agent_actions = agent.add_subparsers(dest="action", required=True, metavar="ACTION")
    agents = agent_actions.add_parser(
        "list", help="print when each agent last reported, its interval, and how much it watches"
    )
    agents.add_argument("--json", action="store_true", help="print JSON")
    agents.set_defaults(act="list-agents")
    version = actions.add_parser("version", help="print the version of the tables")
    version.set_defaults(act="version")
    _add_purge(actions)


def main() -> None:
    """Run the command. Exit status 1: it failed, with the reason on stderr; 2: bad arguments."""
    command = cfg.SubCommandOpt("command", title="Commands", handler=_add_commands)
    try:
        with conf.references_explained(cfg.CONF):
            config = conf.load(
                sys.argv[1:], "migprog-manage", cli_opts=[command], description=_DESCRIPTION
            )
            # Not at the top: --help, --version and wrong arguments need none of it.
            from migprog.cmd import manage_actions

            manage_actions.run(config)
    except exception.MigprogError as error:
        raise SystemExit(f"migprog-manage: {error}") from error

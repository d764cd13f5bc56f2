# SPDX-License-Identifier: Apache-2.0
"""migprog-manage: what an operator does to the database."""

import argparse
import sys

from oslo_config import cfg

from migprog import conf, exception
from migprog.db import api, schema


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


def _add_commands(subparsers: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    db = subparsers.add_parser("db", help="the database's tables")
    actions = db.add_subparsers(dest="action", required=True, metavar="ACTION")
    sync = actions.add_parser("sync", help="make the tables, or bring them up to date")
    sync.set_defaults(act=_db_sync)
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

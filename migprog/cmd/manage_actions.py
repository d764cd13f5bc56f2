# SPDX-License-Identifier: Apache-2.0
"""What ``migprog-manage`` does to the database, once its arguments are known to be right."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from oslo_config import cfg

from migprog import objects
from migprog.core import liveness
from migprog.db import connections, engine, schema

# Interval of progress messages of long operations.
_PROGRESS_SECONDS = 5.0


def run(config: cfg.ConfigOpts) -> None:
    """Carry out ``config.command``. Exits with the reason where the database cannot be reached."""
    store = connections.connect(config)
    try:
        _ACTIONS[config.command.act](store, config.command)
    except engine.Unavailable as error:
        raise SystemExit(f"migprog-manage: {store.where}: {error.why}") from error


def _db_sync(store: engine.Store, _asked: Any) -> None:
    before = schema.version(store)
    schema.sync(store)
    after = schema.version(store)
    if before == after:
        print(f"the database is up to date (version {after})")
    else:
        print(f"the database is now at version {after} (it was at {before or 'none'})")


def _db_version(store: engine.Store, _asked: Any) -> None:
    print(schema.version(store) or "none: run migprog-manage db sync")


# Columns of the table: heading, and key of the value.
_AGENT_COLUMNS = (
    ("HOST", "host"),
    ("NODE", "node"),
    ("LAST REPORT", "age"),
    ("STATE", "state"),
    ("EVERY", "every"),
    ("MIGRATIONS", "migrations"),
    ("STARTED AT", "started_at"),
    ("VERSION", "version"),
)


def _agent_list(store: engine.Store, asked: Any) -> None:
    now = datetime.now(UTC)
    agents = [_agent(each, now) for each in objects.Agent.every(store)]
    if asked.json:
        print(json.dumps({"agents": agents}, indent=2))
        return
    rows = [[heading for heading, _ in _AGENT_COLUMNS]]
    for agent in agents:
        shown = agent | {
            "age": f"{agent['last_report_age_seconds']:.0f} s ago",
            "every": f"{agent['report_interval_seconds']:g} s",
            "state": "silent (hangs)" if agent["hangs"] else agent["state"],
        }
        rows.append([str(shown[key]) for _, key in _AGENT_COLUMNS])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _agent(agent: objects.Agent, now: datetime) -> dict[str, Any]:
    """Return an agent as JSON shows it; its state is ``up`` or ``silent``. ``hangs``: it is silent
    though its heartbeats arrive, as they say that its loop hangs."""
    is_silent = agent.is_silent(now)
    is_late = liveness.is_silent(agent.last_reported_at, now, agent.heartbeat_interval_seconds)
    return {
        "host": agent.host,
        "node": agent.node,
        "state": "silent" if is_silent else "up",
        "hangs": is_silent and not is_late,
        "version": agent.version,
        "last_reported_at": f"{agent.last_reported_at:%Y-%m-%dT%H:%M:%SZ}",
        "last_report_age_seconds": round((now - agent.last_reported_at).total_seconds(), 1),
        "report_interval_seconds": agent.report_interval_seconds,
        "heartbeat_interval_seconds": agent.heartbeat_interval_seconds,
        "started_at": f"{agent.started_at:%Y-%m-%dT%H:%M:%SZ}",
        "migrations": agent.migrations,
        "actions_enabled": agent.actions_enabled,
        "measurements_enabled": agent.measurements_enabled,
    }


class _Progress:
    """Writes to stderr, every few seconds, what a purge has deleted so far."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, purged: objects.Purged) -> None:
        now = time.monotonic()
        if now - self._said_at >= _PROGRESS_SECONDS:
            self._said_at = now
            sys.stderr.write(f"so far: {_counts(purged)}\n")


def _counts(purged: objects.Purged) -> str:
    return (
        f"{purged.migrations} migration(s) with {purged.points} point(s) of their histories, "
        f"{purged.servers} server(s), {purged.agents} agent(s), "
        f"{purged.measurements} measurement(s)"
    )


def _db_purge(store: engine.Store, asked: Any) -> None:
    now = datetime.now(UTC)
    before = now - timedelta(days=asked.older_than)
    purged = objects.purge(
        store,
        before,
        now=now,
        in_progress_too=asked.in_progress_too,
        dry_run=asked.dry_run,
        progress=_Progress(),
    )
    done = "would delete" if asked.dry_run else "deleted"
    print(f"{done} what was last reported before {before:%Y-%m-%dT%H:%M:%SZ}: {_counts(purged)}")
    if purged.silent:
        print(
            f"kept {purged.silent} migration(s) in progress without a report for as long: if "
            "their hypervisors will not come back, --in-progress-too deletes them"
        )


# By the word that the parser of arguments sets.
_ACTIONS = {
    "sync": _db_sync,
    "version": _db_version,
    "list-agents": _agent_list,
    "purge": _db_purge,
}

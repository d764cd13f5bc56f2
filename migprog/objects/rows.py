# SPDX-License-Identifier: Apache-2.0
"""Convert records to rows of the database and back.

During an upgrade a newer conductor may have stored statuses, phases or verdicts that this one does
not know: records have the known ones that say least.
"""

import dataclasses
import operator
from datetime import datetime
from typing import Any

from migprog.core import acceptance, liveness, newer_words, notices
from migprog.core.instant import to_store
from migprog.core.messages import Agent
from migprog.core.record import FIELDS, FIGURES, Record
from migprog.core.server_record import ServerRecord
from migprog.core.status import Status
from migprog.objects import advice, disks

Row = dict[str, Any]

_STATUSES = frozenset(each.value for each in Status)
_FIELDS = frozenset(FIELDS)
_WORDS = ("phase", "verdict", "verdict_reason")
_fields_of = operator.attrgetter(*FIELDS)
_SERVER = tuple(field.name for field in dataclasses.fields(ServerRecord))
_server_fields_of = operator.attrgetter(*_SERVER)


def has_known_status(row: Row) -> bool:
    """Return whether this version knows the status; otherwise it takes the whole row to read it,
    since ``ended_at`` says whether it has ended."""
    return row["status"] in _STATUSES


def to_record(row: Row) -> Record:
    """Return the record of a row of a migration, whole or not; other columns are ignored."""
    fields = {name: value for name, value in row.items() if name in _FIELDS}
    status = newer_words.status(row["status"], row.get("ended_at") is not None)
    fields["status"] = status
    if "phase" not in row:
        return Record(**fields)
    return Record(
        **fields, figures={name: row[name] for name in FIGURES} | known_words(row, status)
    )


def known_words(row: Row, status: Status) -> Row:
    """Return the values of a whole row that are stored in another form than reports have."""
    return {
        "phase": newer_words.phase(row["phase"], status),
        "verdict": newer_words.verdict(row["verdict"]),
        "verdict_reason": newer_words.verdict_reason(row["verdict_reason"]),
        "disks": disks.from_store(row["disks"]),
        "advice": advice.from_store(row["advice"]),
        "actions": advice.from_store(row["actions"]),
    }


def to_before(row: Row) -> notices.Before:
    """Return what decides on notifications, of a row that was locked for them."""
    return notices.Before(
        newer_words.status(row["status"], row.get("ended_at") is not None),
        newer_words.verdict(row["verdict"]),
        advice.from_store(row["advice"]) or (),
    )


def from_record(record: Record) -> Row:
    """Return the row of a migration's record."""
    row = dict(zip(FIELDS, _fields_of(record), strict=True))
    row["status"] = record.status.value
    if record.figures:
        row |= record.figures
        for name in _WORDS:
            word = row[name]
            row[name] = None if word is None else word.value
        row["disks"] = disks.to_store(row["disks"])
        row["advice"] = advice.to_store(row["advice"])
        row["actions"] = advice.to_store(row["actions"])
    return row


def to_server(row: Row) -> ServerRecord:
    """Return the record of a server's row, of the columns that decisions need."""
    return ServerRecord(**row)


def from_server(record: ServerRecord) -> Row:
    """Return the row of a server's record."""
    return dict(zip(_SERVER, _server_fields_of(record), strict=True))


def to_known_agent(row: Row) -> acceptance.KnownAgent:
    """Return what identifies the agent of a row."""
    return acceptance.KnownAgent(
        row["key_digest"], row["last_reported_at"], row["heartbeat_seconds"]
    )


def from_agent(agent: Agent, host: str, node: str, last_reported_at: datetime) -> Row:
    """Return the row of the agent of ``host``; intervals are limited to what its options allow."""
    row = dataclasses.asdict(agent)
    row |= {
        "host": host,
        "node": node,
        "interval_seconds": liveness.bounded_interval(row.pop("report_interval_seconds")),
        "heartbeat_seconds": liveness.bounded_heartbeat(row.pop("heartbeat_interval_seconds")),
        "started_at": to_store(agent.started_at),
        "last_reported_at": last_reported_at,
    }
    return row | {"key_digest": acceptance.digest(row.pop("key"))}

# SPDX-License-Identifier: Apache-2.0
"""Exit statuses, and when a script has waited long enough. Pure.

1 is any error, 2 a wrong argument, as in every command.
"""

import enum

from migprog.cli import text
from migprog.cli.record import Record
from migprog.core.status import Status

# A migration that ended longer ago than this is not the one that a script has just requested.
RECENT_SECONDS = 60.0


class Exit(enum.IntEnum):
    COMPLETED = 0
    FAILED = 3
    CANCELLED = 4
    # No agent saw the end, or the host's agent is silent: what is the case is not known.
    UNKNOWN = 5
    TIMEOUT = 6
    # No migration of the server began in time.
    NONE_STARTED = 7


_BY_STATUS = {
    Status.COMPLETED.value: Exit.COMPLETED,
    Status.FAILED.value: Exit.FAILED,
    Status.CANCELLED.value: Exit.CANCELLED,
}


# The migration has ended, however.
ENDED = frozenset({Exit.COMPLETED, Exit.FAILED, Exit.CANCELLED, Exit.UNKNOWN})


def of(record: Record) -> Exit | None:
    """Return the exit status for a migration's outcome; None while it is in progress."""
    if record.get("in_progress"):
        return None
    return _BY_STATUS.get(record["status"], Exit.UNKNOWN)


def is_meant(record: Record, began_at: float) -> bool:
    """Return whether a server's newest migration is the one to wait for: in progress, or ended at
    most a minute before the waiting began (``began_at``, by the API's clock)."""
    if record.get("in_progress"):
        return True
    ended_at = record.get("ended_at") or record["last_reported_at"]
    return text.epoch(ended_at) >= began_at - RECENT_SECONDS

# SPDX-License-Identifier: Apache-2.0
"""The status and phase of a migration, and all permitted transitions.

A *status* is Nova's word for the state of a migration. A *phase* is what QEMU does at present.
"""

import enum


class Status(enum.StrEnum):
    """Nova's words, as in its ``migrations`` table.

    ``unknown`` is migprog's own: no agent saw the end, and nothing shows how it ended.
    """

    RUNNING = "running"
    POST_COPY = "running (post-copy)"
    POST_MIGRATING = "post-migrating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Phase(enum.StrEnum):
    """What the migration is doing."""

    SETUP = "setup"
    DISK_COPY = "disk-copy"
    MEMORY_FIRST_ITERATION = "memory-first-iteration"
    MEMORY_ITERATIONS = "memory-iterations"
    SWITCHOVER = "switchover"
    POST_COPY = "post-copy"
    POST_COPY_PAUSED = "post-copy-paused"
    DONE = "done"


# The server runs at its destination, and some of its memory is still at the source.
POST_COPY_PHASES: frozenset[Phase] = frozenset({Phase.POST_COPY, Phase.POST_COPY_PAUSED})

ENDED: frozenset[Status] = frozenset(
    {Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.UNKNOWN}
)
IN_PROGRESS: frozenset[Status] = frozenset(Status) - ENDED

# What may follow what. A status may always be repeated with newer counters while in progress.
# Once a server runs at its destination, it cannot be called back.
# An unknown end may be resolved later by an agent that saw it; a known one is never rewritten.
_NEXT: dict[Status, frozenset[Status]] = {
    Status.RUNNING: frozenset(Status),
    Status.POST_COPY: frozenset(Status) - {Status.RUNNING, Status.CANCELLED},
    Status.POST_MIGRATING: ENDED - {Status.CANCELLED} | {Status.POST_MIGRATING},
    Status.UNKNOWN: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}


def may_follow(new: Status, old: Status) -> bool:
    """Return whether a migration that was ``old`` may become (or stay) ``new``."""
    return new in _NEXT[old]

# SPDX-License-Identifier: Apache-2.0
"""The actions on a migration, and when each of them is possible."""

import dataclasses
import enum
from typing import Any, Self

from migprog.core import fields, wire_table
from migprog.core.agent_answer import Reason
from migprog.core.fields import needed
from migprog.core.status import ENDED, Phase, Status


class Action(enum.StrEnum):
    """``abort``: the server goes on running at its source. ``force_complete``: it moves now, by
    post-copy if the migration was started with permission for it, else by pausing the guest until
    all its memory is at the destination."""

    ABORT = "abort"
    FORCE_COMPLETE = "force_complete"


class Refusal(Reason):
    """Why an action is not possible."""

    ENDED = ("migration-ended", "the migration has ended")
    AT_DESTINATION = ("server-at-destination", "the server runs at its destination already")
    NO_MEMORY_COPIED = (
        "no-memory-copied-yet",
        "no memory is being copied yet: post-copy could not begin, and a pause would last as long "
        "as all that is still to be copied, disks too",
    )
    SWITCHING_OVER = ("switchover-in-progress", "the server switches over already")
    ALREADY_PAUSED = (
        "server-already-paused",
        "the server is paused already: nothing writes to its memory",
    )
    NOT_ON_HOST = ("migration-not-on-host", "no such migration is in progress on the source host")
    AGENT_STARTING = (
        "agent-starting",
        "the agent has just started, and does not know the migration's state yet",
    )
    BUSY = ("action-in-progress", "another action on the server's migration is in progress")
    LIBVIRT_FAILED = (
        "libvirt-failed",
        "libvirt failed to carry out the action; the agent's log has the error",
    )


def refusal(action: Action, status: Status, phase: Phase) -> Refusal | None:
    """Return why a migration with this status and phase refuses ``action``; None if it may work."""
    if status in ENDED:
        return Refusal.ENDED
    # Only the destination may have reported the arrival; the source's agent knows better.
    if status not in (Status.RUNNING, Status.POST_MIGRATING):
        return Refusal.AT_DESTINATION
    if action is Action.ABORT:
        # During a switchover too: one that was forced by a pause may take long.
        return None
    if phase in (Phase.SETUP, Phase.DISK_COPY):
        return Refusal.NO_MEMORY_COPIED
    return Refusal.SWITCHING_OVER if phase is Phase.SWITCHOVER else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The migration that an action is for, by its UUID and its server's."""

    uuid: str = needed(fields.uuid_text)
    server_uuid: str = needed(fields.uuid_text)

    def to_wire(self) -> dict[str, Any]:
        """Return a table of one row, see :mod:`migprog.core.wire_table`."""
        return wire_table.write([self])

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read it. Raises :class:`Malformed`."""
        return wire_table.read_one(cls, wire)

# SPDX-License-Identifier: Apache-2.0
"""What an operator may have done to a migration, and when that is possible."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Self

from migprog.core import fields, job_start, table
from migprog.core.fields import needed
from migprog.core.forecast import job_sample
from migprog.core.status import ENDED, Phase, Status
from migprog.core.table import Malformed


class Action(enum.StrEnum):
    """``abort``: the server goes on running where it is. ``force_complete``: it moves now, by
    post-copy if its migration was begun with the leave to do so, else by a pause that lasts until
    all its memory is at the destination."""

    ABORT = "abort"
    FORCE_COMPLETE = "force_complete"


class Refusal(enum.StrEnum):
    """Why an action is not possible, in one word; ``message`` is the sentence.

    The error codes of the API have the same words.
    """

    message: str

    def __new__(cls, word: str, message: str) -> "Refusal":
        refusal = str.__new__(cls, word)
        refusal._value_ = word
        refusal.message = message
        return refusal

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
    LIBVIRT_FAILED = ("libvirt-failed", "libvirt failed to do it; the agent's log has the error")


def refusal(action: Action, status: Status, phase: Phase) -> Refusal | None:
    """Why this cannot be done to a migration that stands so; None: it can, as far as we know."""
    if status in ENDED:
        return Refusal.ENDED
    # That it has arrived may be its destination's word alone: the agent of its source knows.
    if status not in (Status.RUNNING, Status.POST_MIGRATING):
        return Refusal.AT_DESTINATION
    if action is Action.ABORT:
        # During a switch-over too: one that was forced by a pause may take long.
        return None
    if phase in (Phase.SETUP, Phase.DISK_COPY):
        return Refusal.NO_MEMORY_COPIED
    return Refusal.SWITCHING_OVER if phase is Phase.SWITCHOVER else None


def is_of(stats: Mapping[str, Any], at: float, seen_at: float) -> bool:
    """Whether a server's job, asked for at ``at``, is an outgoing migration under way, and the one
    that was last seen at ``seen_at``: a server has one job at a time, so it is, if it had begun by
    then. Seconds of one monotonic clock.
    """
    if job_sample.outgoing_job(stats) is not job_sample.JobState.ACTIVE:
        return False
    began_at = job_start.began_at(stats, at)
    return began_at is None or job_start.is_no_later(began_at, seen_at)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The migration that something is to be done to, by its UUID and its server's."""

    uuid: str = needed(fields.uuid_text)
    server_uuid: str = needed(fields.uuid_text)

    def to_wire(self) -> dict[str, Any]:
        """A table of one row, see :mod:`migprog.core.table`."""
        return table.write([self])

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Raises :class:`Malformed`."""
        targets, refused = table.read(cls, wire, 1)
        if not targets:
            raise Malformed(refused.get(0, "rows: must be a list of one entry"))
        return targets[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """Of an agent to what it was asked for. ``refused``: why it did nothing; None: it does it.

    ``reason``: the same in one word; None where there is none, or one of a later version.
    """

    refused: str | None = None
    reason: Refusal | None = None

    @classmethod
    def of(cls, refusal: Refusal) -> Self:
        return cls(refusal.message, refusal)

    def to_wire(self) -> dict[str, Any]:
        return {"refused": self.refused, "reason": self.reason and self.reason.value}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None) -> Self:
        """Read an answer, of an older or a newer agent too."""
        wire = wire or {}
        refused, reason = wire.get("refused"), wire.get("reason")
        return cls(
            None if refused is None else fields.text(str(refused)),
            next((each for each in Refusal if each.value == reason), None),
        )

# SPDX-License-Identifier: Apache-2.0
"""What steering advises: an action, why, with which figures, and until when it must have worked.

``doc/source/steering.rst`` has the words as a table; a test compares both.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from migprog.core import fields
from migprog.core.advice_entry import AdviceEntry


class SteeringAction(enum.StrEnum):
    """What can be done about a migration, from the least to the most intrusive."""

    RAISE_DOWNTIME = "raise-downtime"
    RAISE_BANDWIDTH = "raise-bandwidth"
    POST_COPY = "post-copy"
    PAUSE = "pause"
    ABORT = "abort"
    # Not an action on the migration: another party lowers the downtime limit each time.
    STOP_ASSERTING = "stop-asserting"


class AdviceReason(enum.StrEnum):
    """Why, in one word, for clients that do not parse sentences. A word keeps its meaning."""

    NOT_CONVERGING = "not-converging"
    DEADLINE_AT_RISK = "deadline-at-risk"
    DEADLINE_UNREACHABLE = "deadline-unreachable"
    HOPELESS = "hopeless"
    DISKS_DO_NOT_CONVERGE = "disks-do-not-converge"
    LIMIT_LOWERED = "limit-lowered"
    LOWERED_REPEATEDLY = "lowered-repeatedly"
    NOVA_DOWNTIME_STEP = "nova-downtime-step"
    NOVA_COMPLETION_TIMEOUT = "nova-completion-timeout"


# What nova-compute does by itself. Steering only foretells it, and never carries it out.
BY_NOVA = frozenset({AdviceReason.NOVA_DOWNTIME_STEP, AdviceReason.NOVA_COMPLETION_TIMEOUT})


# Parties round limits, to whole milliseconds or MiB/s. Each raise is a larger one.
_NEARLY = 1.05


def reaches(in_force: float, advised: float) -> bool:
    """Return whether a limit is what was advised, or higher."""
    return in_force * _NEARLY >= advised


class State(enum.StrEnum):
    """What has become of an entry."""

    ADVISED = "advised"
    DONE = "done"
    FAILED = "failed"
    # Another party has done it, or more.
    FOLLOWED = "followed"


CARRIED_OUT: frozenset[State] = frozenset({State.DONE, State.FOLLOWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One decision. ``at`` is when it was made; ``works_by`` when it must have worked.

    Both are seconds of the clock of the situation it was made in. ``figures`` are numbers by name,
    with their units in it; ``downtime_limit_seconds`` and ``bandwidth_bytes_per_second`` are what
    the action sets. ``lapsed``: it was made before steering acted, see ``has_lapsed``.
    """

    action: SteeringAction
    reason: AdviceReason
    message: str
    at: float
    works_by: float
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    state: State = State.ADVISED
    lapsed: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether steering itself would do it."""
        return self.reason not in BY_NOVA

    @property
    def has_lapsed(self) -> bool:
        """Whether it counts no more: it was only advised, in a mode that did not act."""
        return self.lapsed and self.state is State.ADVISED

    @property
    def sets_downtime_limit_seconds(self) -> float | None:
        """The downtime limit that it sets; None if it sets none."""
        return self.figures.get("downtime_limit_seconds")

    def to_fields(self, epoch_offset_seconds: float = 0.0) -> AdviceEntry:
        """Return it as plain values for JSON; ``epoch_offset_seconds`` is added to its instants."""
        return {
            "action": self.action.value,
            "reason": self.reason.value,
            "message": self.message[: fields.MAX_TEXT],
            "at": round(epoch_offset_seconds + self.at, 3),
            "works_by": round(epoch_offset_seconds + self.works_by, 3),
            "figures": {name: round(value, 3) for name, value in self.figures.items()},
            "state": self.state.value,
        }

# SPDX-License-Identifier: Apache-2.0
"""What happened to one migration, as libvirt shows it. Values only; seconds since its begin."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Ending(enum.StrEnum):
    """How a migration ended. ``BOUND``: it had not ended in time, and the lab aborted it."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    BOUND = "would not have ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the statistics: ``elapsed_seconds`` and ``iteration`` are libvirt's."""

    elapsed_seconds: float
    iteration: int


@dataclass(frozen=True, slots=True)
class Action:
    """What was done to a migration: ``word`` is ``downtime_ms`` or ``bandwidth_mib_s`` with the
    new limit, ``post-copy``, ``pause`` or ``abort``."""

    at_seconds: float
    word: str
    value: int | None = None

    def text(self) -> str:
        value = "" if self.value is None else f" {self.value}"
        return f"{self.word}{value} at {self.at_seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One migration. ``total_seconds`` and ``downtime_seconds`` of a completed one are libvirt's
    final ones. ``first_iteration_seconds``: when the first iteration had ended; None: it was
    the last one, or was not seen."""

    ending: Ending
    total_seconds: float
    downtime_seconds: float | None
    first_iteration_seconds: float | None
    actions: Sequence[Action] = ()
    error: str | None = None

    @property
    def is_completed(self) -> bool:
        return self.ending is Ending.COMPLETED

    @property
    def after_first_iteration_seconds(self) -> float:
        """How long it took after its first iteration; 0 where it ended with that."""
        if self.first_iteration_seconds is None:
            return 0.0
        return max(0.0, self.total_seconds - self.first_iteration_seconds)

    def text(self) -> str:
        """Describe it in a line."""
        parts = [f"{self.ending} after {self.total_seconds:.1f} s"]
        if self.first_iteration_seconds is not None:
            parts.append(f"{self.after_first_iteration_seconds:.1f} s after the first iteration")
        if self.downtime_seconds is not None:
            parts.append(f"downtime {self.downtime_seconds * 1000:.0f} ms")
        parts += [action.text() for action in self.actions]
        if self.ending is Ending.FAILED:
            parts.append(f"libvirt: {self.error}")
        return ", ".join(parts)

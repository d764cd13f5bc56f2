# SPDX-License-Identifier: Apache-2.0
"""How a migration ends, as its source sees it, and what it tells of the next ones."""

from dataclasses import dataclass

from migprog.core import completion, pause
from migprog.core.course import Course
from migprog.core.sample import Sample
from migprog.core.status import Phase, Status

# libvirt sends the end and its final statistics as two events in either order, and answers to
# calls may overtake events: so long a first word of the end waits for a better one.
_LAST_EVENTS_SECONDS = 2.0
# libvirt's count of a job's time and ours differ by less, unless a clock was set: a call may take
# long that reads it.
_SAME_COUNT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class End:
    """How it ended. What is not ``certain`` gives way to what is, until it is reported."""

    status: Status
    error: str | None
    at: float
    certain: bool


class Ending:
    """Of one migration. ``final`` are libvirt's final statistics, ``stopped``: the server was
    stopped at its source, ``cancelled``: QEMU was told to give the migration up.

    ``handover_seconds`` is how long it took from the switch-over to the end. That and
    :meth:`resent_share` are None of one that was forced or stuck, or went on in post-copy: it is no
    measure for others.
    """

    def __init__(self) -> None:
        self.end: End | None = None
        self.final: Sample | None = None
        self.stopped = False
        self.cancelled = False
        self.pause_is_unusual = False
        self.handover_seconds: float | None = None

    def ended(self, status: Status, error: str | None, at: float, certain: bool = True) -> None:
        """Take up that it has ended."""
        if self.end is None or (certain and not self.end.certain):
            self.end = End(status, error, at, certain)

    def given_up(self, at: float) -> None:
        """Take up that its job is gone, and the server runs on at its source."""
        if self.cancelled:
            # QEMU says the same when the destination's libvirt was lost, but rarely.
            self.ended(Status.CANCELLED, "the migration was aborted", at, certain=False)
        else:
            text = "the migration was given up; the server goes on running at its source"
            self.ended(Status.FAILED, text, at, certain=False)

    def may_change(self, now: float) -> bool:
        """Return whether better news of an end is still waited for."""
        if self.end is None:
            return False
        both_told = self.final is not None and self.stopped
        complete = both_told or self.end.status is not Status.COMPLETED
        settled = self.end.certain and complete
        return not settled and now < self.end.at + _LAST_EVENTS_SECONDS

    def arrives(self, course: Course, at: float, phase: Phase) -> None:
        """Take up that the server was stopped, as it runs at its destination; it was in ``phase``
        until then."""
        self.stopped = True
        switched_at = pause.switched_at(course)
        is_usual = phase is Phase.SWITCHOVER and not self.pause_is_unusual
        if switched_at is not None and is_usual:
            self.handover_seconds = at - switched_at
        self.ended(Status.COMPLETED, None, at)

    def resent_share(self) -> float | None:
        """Return what it had to send again; None unless it completed as usual, in pre-copy."""
        completed = self.end is not None and self.end.status is Status.COMPLETED
        if self.final is None or not completed or self.handover_seconds is None:
            return None
        return completion.resent_share(self.final)

    def total_seconds(self, course: Course) -> float | None:
        """Return how long it took; None while it has not ended.

        libvirt counts by the host's clock. Where somebody set that meanwhile, its count is no
        length of time: then it is what passed while it was watched.
        """
        if self.end is None:
            return None
        seen_seconds = max(0.0, self.end.at - course.started_at)
        if self.final is None:
            return seen_seconds
        told, latest = self.final.elapsed_seconds, course.latest
        if told is None or latest is None or latest.elapsed_seconds is None:
            return told
        set_by = latest.at - latest.elapsed_seconds - course.started_at
        least_seconds = latest.elapsed_seconds - _SAME_COUNT_SECONDS
        is_by_one_clock = (
            abs(set_by) <= _SAME_COUNT_SECONDS
            and least_seconds <= told <= seen_seconds + _SAME_COUNT_SECONDS
        )
        return told if is_by_one_clock else seen_seconds

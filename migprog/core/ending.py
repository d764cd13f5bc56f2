# SPDX-License-Identifier: Apache-2.0
"""Decide how a migration ended, as its source sees it, and what the next ones learn from it."""

import enum
from dataclasses import dataclass, replace

from migprog.core.forecast import guest_pause, resent
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.status import Phase, Status

# libvirt sends the end and its final statistics as two events in either order, and answers to
# calls may overtake events: the first sign of the end waits so long for a better one.
LAST_EVENTS_SECONDS = 2.0
# libvirt's count of a job's time and ours differ by less, unless a clock was set: the call that
# reads it may take long.
_SAME_COUNT_SECONDS = 2.0
# An abort that was asked for may end the job before libvirt answers it.
_ANSWER_SECONDS = 10.0
_ABORTED = "the migration was aborted"


class _Abort(enum.Enum):
    """What is known of an abort that this agent has asked libvirt for."""

    ASKED = enum.auto()
    ACCEPTED = enum.auto()


@dataclass(frozen=True, slots=True)
class End:
    """How it ended. An end that is not ``certain`` is replaced by a certain one until reported."""

    status: Status
    error: str | None
    at: float
    certain: bool


class Ending:
    """The end of one migration. ``final`` are libvirt's final statistics, ``stopped``: the server
    was stopped at its source, ``cancelled``: QEMU was asked to cancel the migration.

    A job that fails after libvirt has accepted this agent's abort was aborted. A cancelled QEMU
    closes its connection first, and where one of its threads, or the destination, notices that
    before the new state, QEMU says "failed", and so does libvirt's job. Nothing else can be meant:
    libvirt accepts an abort only of a job that runs, and the server goes on at its source.
    (nova-compute goes by the type of the job alone, so its record is ``cancelled`` or ``failed`` by
    chance.)

    ``completion_time_seconds`` is the time from the switchover to the end. That and
    :meth:`resent_share` are None of one that was forced or stuck, or went on in post-copy: later
    migrations must not learn from it.
    """

    def __init__(self) -> None:
        self.end: End | None = None
        self.final: Sample | None = None
        self.stopped = False
        self.cancelled = False
        self._abort: _Abort | None = None
        self.pause_is_unusual = False
        self.completion_time_seconds: float | None = None

    def ended(self, status: Status, error: str | None, at: float, certain: bool = True) -> None:
        """Record that it has ended."""
        if self.end is None or (certain and not self.end.certain):
            self.end = End(status, error, at, certain)

    def given_up(self, at: float) -> None:
        """Record that its job is gone, and the server goes on running at its source."""
        if self.cancelled:
            # Rarely, QEMU says the same when the destination's libvirt was lost.
            self.ended(Status.CANCELLED, _ABORTED, at, certain=False)
        else:
            text = "the migration was given up; the server goes on running at its source"
            self.job_failed(text, at, certain=False)

    def job_failed(self, error: str, at: float, certain: bool = True) -> None:
        """Record that its job has failed, which leaves the server running at its source."""
        if self._abort is _Abort.ACCEPTED:
            self.ended(Status.CANCELLED, _ABORTED, at)
        else:
            self.ended(Status.FAILED, error, at, certain and self._abort is None)

    def abort_asked(self) -> None:
        """Record that libvirt is asked to abort it."""
        self._abort = _Abort.ASKED

    def abort_answered(self, accepted: bool) -> None:
        """Record libvirt's answer. An end that has been reported stays as it is."""
        self._abort = _Abort.ACCEPTED if accepted else None
        end = self.end
        if end is None or end.certain or end.status is not Status.FAILED:
            return
        if accepted:
            self.end = End(Status.CANCELLED, _ABORTED, end.at, certain=True)
        else:
            self.end = replace(end, certain=True)

    def may_change(self, now: float) -> bool:
        """Return whether a more certain end may still come."""
        if self.end is None:
            return False
        has_both = self.final is not None and self.stopped
        complete = has_both or self.end.status is not Status.COMPLETED
        settled = self.end.certain and complete
        is_asked = self._abort is _Abort.ASKED and self.end.status is Status.FAILED
        seconds = _ANSWER_SECONDS if is_asked else LAST_EVENTS_SECONDS
        return not settled and now < self.end.at + seconds

    def arrives(self, precopy: PrecopyState, at: float, phase: Phase) -> None:
        """Record that the server was stopped, as it runs at its destination; it was in ``phase``
        until then."""
        self.stopped = True
        switched_at = guest_pause.switched_at(precopy)
        is_usual = phase is Phase.SWITCHOVER and not self.pause_is_unusual
        if switched_at is not None and is_usual:
            self.completion_time_seconds = at - switched_at
        self.ended(Status.COMPLETED, None, at)

    def resent_share(self) -> float | None:
        """Return the share sent again; None unless it completed as usual, in pre-copy."""
        completed = self.end is not None and self.end.status is Status.COMPLETED
        if self.final is None or not completed or self.completion_time_seconds is None:
            return None
        return resent.resent_share(self.final)

    def total_seconds(self, precopy: PrecopyState) -> float | None:
        """Return how long it took; None while it has not ended.

        libvirt counts by the host's clock. If that was set meanwhile, its count is wrong: then it
        is the time for which the migration was monitored.
        """
        if self.end is None:
            return None
        seen_seconds = max(0.0, self.end.at - precopy.started_at)
        if self.final is None:
            return seen_seconds
        counted, latest = self.final.elapsed_seconds, precopy.latest
        if counted is None or latest is None or latest.elapsed_seconds is None:
            return counted
        set_by = latest.at - latest.elapsed_seconds - precopy.started_at
        least_seconds = latest.elapsed_seconds - _SAME_COUNT_SECONDS
        is_by_one_clock = (
            abs(set_by) <= _SAME_COUNT_SECONDS
            and least_seconds <= counted <= seen_seconds + _SAME_COUNT_SECONDS
        )
        return counted if is_by_one_clock else seen_seconds

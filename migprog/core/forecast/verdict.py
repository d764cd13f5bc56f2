# SPDX-License-Identifier: Apache-2.0
"""Will it end? A word for it, and the numbers behind the word."""

import enum
from typing import NamedTuple

from migprog.core.fields import counted
from migprog.core.forecast import guest_pause, stall
from migprog.core.forecast.dirty_rate import recovers, shrank
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.status import Phase

# One boundary after the first pass tells what was dirtied, a second whether that shrinks.
_ITERATIONS_TO_COMPARE = 2
# A pass that leaves more than this share of what it sent hardly gets anywhere.
_MAX_RATIO = 0.95
# QEMU's default max-cpu-throttle: there auto-converge is at its end.
_AUTO_CONVERGE_END_PERCENT = 99
# Before this, nothing copied is nothing to speak of.
_SETUP_SECONDS = 8.0
_MIB = 2**20


class Verdict(enum.StrEnum):
    STARTING = "starting"
    COPYING = "copying"
    CONVERGING = "converging"
    NOT_CONVERGING = "not-converging"
    STALLED = "stalled"
    SWITCHING_OVER = "switching-over"
    POST_COPY = "post-copy"
    POST_COPY_PAUSED = "post-copy-paused"
    ENDED = "ended"


class Judgement(NamedTuple):
    """A verdict, why in a word and in a sentence, and what a switch-over would take (None: not
    known yet).

    ``downtime_needed_seconds`` is the pause in which all could be sent that the last boundary left;
    ``bandwidth_needed_bytes_per_second`` the least with which passes would get shorter.
    """

    verdict: Verdict
    reason: VerdictReason
    message: str
    downtime_needed_seconds: float | None = None
    bandwidth_needed_bytes_per_second: int | None = None


# What attracts an operator's attention.
BAD: frozenset[Verdict] = frozenset(
    {Verdict.NOT_CONVERGING, Verdict.STALLED, Verdict.POST_COPY_PAUSED}
)
_BY_PHASE = {
    Phase.SETUP: (
        Verdict.STARTING,
        VerdictReason.NOTHING_COPIED_YET,
        "nothing has been copied yet",
    ),
    Phase.SWITCHOVER: (
        Verdict.SWITCHING_OVER,
        VerdictReason.SWITCHOVER,
        "the server is paused and moves to its destination",
    ),
    Phase.POST_COPY: (
        Verdict.POST_COPY,
        VerdictReason.RUNNING_AT_DESTINATION,
        "the server runs at its destination; the rest follows",
    ),
    Phase.POST_COPY_PAUSED: (
        Verdict.POST_COPY_PAUSED,
        VerdictReason.CONNECTION_LOST,
        "the connection was lost after the server had moved; it waits for its memory",
    ),
    Phase.DONE: (Verdict.ENDED, VerdictReason.NOT_OBSERVED, "it is over"),
}


def judge(
    course: PrecopyState,
    phase: Phase,
    now: float,
    before: Judgement | None,
    silent_seconds: float | None = None,
) -> Judgement:
    """Judge a migration that is in ``phase``; ``now`` in the time of its samples.

    ``before`` is the judgement so far: its verdict stands until there is more than a little against
    it, and after the end it says how things stood. ``silent_seconds``: for how long libvirt has not
    answered, if that is longer than usual.
    """
    if phase is Phase.DONE and before is not None:
        message = f"{before.verdict} at the end: {before.message}"
        return before._replace(verdict=Verdict.ENDED, message=message)
    why = stall.stalled(course, phase, now, silent_seconds)
    if why is not None:
        return Judgement(Verdict.STALLED, *why)
    if phase in _BY_PHASE:
        return _of_phase(course, phase, now, silent_seconds)
    if (
        course.paused_at is not None
        and guest_pause.is_seen(course)
        and phase is not Phase.DISK_COPY
    ):
        return Judgement(Verdict.CONVERGING, VerdictReason.GUEST_PAUSED, _while_paused(course, now))
    if phase is Phase.DISK_COPY and course.disks.never_end:
        return Judgement(
            Verdict.NOT_CONVERGING,
            VerdictReason.DISK_WRITE_RATE_TOO_HIGH,
            "the server writes to its disks as fast as they are copied; less writing or more "
            "bandwidth would do",
        )
    return _of_memory(course, before)


def _of_phase(
    course: PrecopyState, phase: Phase, now: float, silent_seconds: float | None
) -> Judgement:
    word, reason, message = _BY_PHASE[phase]
    if phase is Phase.SETUP and now - course.started_at >= _SETUP_SECONDS:
        reason = VerdictReason.SLOW_SETUP
        message = f"nothing has been copied for {now - course.started_at:.0f} s since it started"
    if phase is Phase.POST_COPY_PAUSED and silent_seconds is not None:
        message += f"; {stall.silence(silent_seconds)}"
    return Judgement(word, reason, message)


def _while_paused(course: PrecopyState, now: float) -> str:
    remaining = course.latest.memory_remaining_bytes if course.latest else None
    left = "" if remaining is None else f" {remaining / _MIB:.0f} MiB"
    return (
        f"{guest_pause.told(course, now)}, by an operator or a tool: it dirties no memory, and "
        f"waits until the remaining{left} are copied"
    )


def _of_memory(course: PrecopyState, before: Judgement | None) -> Judgement:
    downtime, bandwidth = downtime_needed(course), bandwidth_needed(course)
    fits = _fits(course, downtime)
    verdict = _of_passes(course, before.verdict if before else None, fits)
    if course.devices_move and verdict is not Verdict.NOT_CONVERGING:
        verdict, reason = Verdict.COPYING, VerdictReason.DEVICE_STATE_MOVES
        message = _devices(course)
    elif verdict is Verdict.NOT_CONVERGING:
        reason = VerdictReason.DIRTY_RATE_TOO_HIGH
        message = _why_not(course, downtime, bandwidth)
    elif verdict is Verdict.COPYING:
        reason = VerdictReason.TOO_FEW_ITERATIONS
        message = "too early to say: few passes to compare"
    else:
        reason = VerdictReason.REMAINING_MEMORY_SHRINKS
        if fits:
            reason = VerdictReason.REMAINING_MEMORY_FITS
        left = ", ".join(f"{b.remaining_bytes / _MIB:.0f}" for b in course.iterations[-4:])
        message = f"the last passes began with {left} MiB to send{_slowed(course)}"
    if course.devices_follow:
        message += "; the state of its devices follows"
    return Judgement(verdict, reason, message, downtime, bandwidth)


def _of_passes(course: PrecopyState, before: Verdict | None, fits: bool) -> Verdict:
    iterations = course.undisturbed
    if fits:
        return Verdict.CONVERGING
    if len(iterations) < _ITERATIONS_TO_COMPARE:
        return Verdict.COPYING
    if course.on_plateau:
        return Verdict.NOT_CONVERGING
    needed, pace = _pace_needed(course), course.memory_bytes_per_second
    enough = needed is not None and pace is not None and pace >= needed
    if course.is_faster and enough:
        return Verdict.CONVERGING
    if before is Verdict.NOT_CONVERGING:
        return Verdict.CONVERGING if recovers(iterations) else before
    if enough and shrank(iterations):
        return Verdict.CONVERGING
    return before if before is Verdict.CONVERGING else Verdict.COPYING


def downtime_needed(course: PrecopyState) -> float | None:
    """Seconds of pause in which all that the last boundary left could be sent."""
    if not course.iterations or not course.memory_bytes_per_second:
        return None
    return course.iterations[-1].remaining_bytes / course.memory_bytes_per_second


def _fits(course: PrecopyState, pause_seconds: float | None) -> bool:
    limit = course.latest.downtime_limit_seconds if course.latest else None
    return pause_seconds is not None and limit is not None and pause_seconds <= limit


def bandwidth_needed(course: PrecopyState) -> int | None:
    """Bytes a second on the wire with which a pass would leave less than it sends, by what the
    guest dirtied lately. A guest that has dirtied all that it ever does may dirty faster than can
    be seen."""
    needed = _pace_needed(course)
    return None if needed is None else counted(needed * course.wire_bytes_per_guest_byte)


def _pace_needed(course: PrecopyState) -> float | None:
    """The same in bytes of the guest, which are less on the wire where they are compressed."""
    known = course.dirtying
    return None if known is None else known.dirtied_bytes / known.seconds / _MAX_RATIO


def auto_converge_goes_on(course: PrecopyState) -> bool:
    """Whether auto-converge slows the guest down, and can do so further."""
    percent = course.latest.cpu_throttle_percent if course.latest else None
    return percent is not None and percent < _AUTO_CONVERGE_END_PERCENT


def _why_not(course: PrecopyState, downtime: float | None, bandwidth: int | None) -> str:
    left = course.iterations[-1].remaining_bytes / _MIB
    text = f"each pass begins with as much as the one before ({left:.0f} MiB)"
    limit = course.latest.downtime_limit_seconds if course.latest else None
    if downtime is not None:
        text += f"; a pause of {_seconds(downtime)} s would do"
        text += "" if limit is None else f", {_seconds(limit)} s are allowed"
    pace = course.wire.bytes_per_second
    if bandwidth is not None and pace is not None:
        text += f"; or more than {max(bandwidth, pace) / _MIB:.0f} MiB/s"
    return text + (_slowed(course) or "; or auto-converge or post-copy, if they were permitted")


def _seconds(seconds: float) -> str:
    """Seconds to a tenth, less than one to a millisecond as it is set: limits begin at 50 ms."""
    return f"{seconds:.1f}" if seconds >= 1 else f"{round(seconds, 3):g}"


def _devices(course: PrecopyState) -> str:
    sent = course.latest.vfio_transferred_bytes if course.latest else None
    return (
        f"the state of the server's devices moves, {(sent or 0) / _MIB:.0f} MiB so far; "
        "nothing tells how much is left"
    )


def _slowed(course: PrecopyState) -> str:
    percent = course.latest.cpu_throttle_percent if course.latest else None
    if percent is None:
        return ""
    more = "and goes on" if auto_converge_goes_on(course) else "and is at its end"
    return f"; auto-converge slows the guest by {percent} % {more}"

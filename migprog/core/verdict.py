# SPDX-License-Identifier: Apache-2.0
"""Will it end? A word for it, and the numbers behind the word."""

import enum
from dataclasses import dataclass

from migprog.core.course import Boundary, Course
from migprog.core.dirtying import MAX_RATIO, dirtying
from migprog.core.status import Phase

# What is left at a boundary must fall below this share of the best so far to count as progress
# (KubeVirt's VEP 248 uses the same figure).
_PROGRESS = 0.96
# One boundary after the first pass tells what was dirtied, a second whether that shrinks.
_PASSES_TO_COMPARE = 2
# So many boundaries in a row without progress, and the guest dirties as fast as it is sent.
_PASSES_WITHOUT_PROGRESS = 2
# Short passes, late in a migration, waver: a plateau lasts.
_PLATEAU_SECONDS = 3.0
# Once called, it takes more than a little progress to believe in an end again.
_RECOVERY = 0.8
# QEMU's default max-cpu-throttle: there auto-converge is at its end.
_AUTO_CONVERGE_END_PERCENT = 99
# QEMU's main loop may be busy for seconds; beyond this, standing still is the network's fault.
_STALLED_SECONDS = 8.0
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


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, why, and the pause that a switch-over would need now (None: not known yet)."""

    verdict: Verdict
    reason: str
    pause_needed_seconds: float | None = None


_BY_PHASE = {
    Phase.SETUP: (Verdict.STARTING, "nothing has been copied yet"),
    Phase.SWITCHOVER: (Verdict.SWITCHING_OVER, "the server is paused and moves to its destination"),
    Phase.POST_COPY: (Verdict.POST_COPY, "the server runs at its destination; the rest follows"),
    Phase.POST_COPY_PAUSED: (
        Verdict.POST_COPY_PAUSED,
        "the connection was lost after the server had moved; it waits for its memory",
    ),
    Phase.DONE: (Verdict.ENDED, "it is over"),
}


def judge(course: Course, phase: Phase, now: float, before: Judgement | None) -> Judgement:
    """Judge a migration that is in ``phase``; ``now`` in the time of its samples.

    ``before`` is the judgement so far: its verdict stands until there is more than a little against
    it, and after the end it says how things stood.
    """
    if phase is Phase.DONE and before is not None:
        reason = f"{before.verdict} at the end: {before.reason}"
        return Judgement(Verdict.ENDED, reason, before.pause_needed_seconds)
    if phase in _BY_PHASE:
        return Judgement(*_BY_PHASE[phase])
    if course.moved_at is not None and now - course.moved_at >= _STALLED_SECONDS:
        return Judgement(
            Verdict.STALLED,
            f"no byte has moved for {now - course.moved_at:.0f} s: look at the network, "
            "not at the guest",
        )
    pause = pause_needed(course)
    verdict = _of_passes(course, before.verdict if before else None, _fits(course, pause))
    if verdict is Verdict.NOT_CONVERGING:
        return Judgement(verdict, _why_not(course, course.passes, pause), pause)
    if verdict is Verdict.COPYING:
        return Judgement(verdict, "too few passes to compare; too early to say", pause)
    left = " ".join(f"{b.remaining_bytes / _MIB:.0f}" for b in course.passes[-4:])
    reason = f"MiB left at the start of the last passes: {left}"
    if course.latest is not None and course.latest.auto_converge_percent is not None:
        reason += f"; auto-converge slows the guest by {course.latest.auto_converge_percent} %"
    return Judgement(verdict, reason, pause)


def _of_passes(course: Course, before: Verdict | None, fits: bool) -> Verdict:
    passes = course.passes
    if fits:
        return Verdict.CONVERGING
    if len(passes) < _PASSES_TO_COMPARE:
        return Verdict.COPYING
    if before is Verdict.NOT_CONVERGING and not _recovers(passes):
        return before
    if _is_slowed(course):
        return Verdict.CONVERGING
    if _without_progress(passes):
        return Verdict.NOT_CONVERGING
    known = dirtying(course)
    pace = course.memory_bytes_per_second
    if known and pace and known.bytes_per_second <= MAX_RATIO * pace:
        return Verdict.CONVERGING
    return before if before is Verdict.CONVERGING else Verdict.COPYING


def _is_slowed(course: Course) -> bool:
    """Whether auto-converge slows the guest down, and can do so further."""
    percent = course.latest.auto_converge_percent if course.latest else None
    return percent is not None and percent < _AUTO_CONVERGE_END_PERCENT


def _recovers(passes: tuple[Boundary, ...]) -> bool:
    best = min(boundary.remaining_bytes for boundary in passes[:-1])
    return passes[-1].remaining_bytes <= _RECOVERY * best


def pause_needed(course: Course) -> float | None:
    """Seconds of pause in which all that the last boundary left could be sent."""
    if not course.passes or not course.memory_bytes_per_second:
        return None
    return course.passes[-1].remaining_bytes / course.memory_bytes_per_second


def _without_progress(passes: tuple[Boundary, ...]) -> bool:
    recent, earlier = passes[-_PASSES_WITHOUT_PROGRESS:], passes[:-_PASSES_WITHOUT_PROGRESS]
    if not earlier:
        return False
    best = min(earlier, key=lambda boundary: boundary.remaining_bytes)
    return recent[-1].at - best.at >= _PLATEAU_SECONDS and all(
        boundary.remaining_bytes >= _PROGRESS * best.remaining_bytes for boundary in recent
    )


def _fits(course: Course, pause_seconds: float | None) -> bool:
    limit = course.latest.pause_limit_seconds if course.latest else None
    return pause_seconds is not None and limit is not None and pause_seconds <= limit


def _why_not(course: Course, boundaries: tuple[Boundary, ...], pause: float | None) -> str:
    left = boundaries[-1].remaining_bytes / _MIB
    text = f"each pass leaves as much as the one before ({left:.0f} MiB)"
    if pause is None:
        return text
    text += f"; a pause of {pause:.1f} s would be needed"
    limit = course.latest.pause_limit_seconds if course.latest else None
    return text if limit is None else f"{text}, {limit:.1f} s are allowed"

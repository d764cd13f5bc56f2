# SPDX-License-Identifier: Apache-2.0
"""Judge whether a migration will end: a verdict, and the figures behind it."""

import enum
from typing import NamedTuple

from migprog.core import duration
from migprog.core.fields import counted
from migprog.core.forecast import guest_pause, stall
from migprog.core.forecast.dirty_rate import MAX_RATIO, recovers, shrank
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.status import Phase

# The first iteration start shows what was dirtied, the second whether that shrinks.
_ITERATIONS_TO_COMPARE = 2
# QEMU's default max-cpu-throttle: auto-converge cannot slow the guest any further.
_AUTO_CONVERGE_END_PERCENT = 99
# A shorter setup than this is not worth mentioning.
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
    """A verdict, its reason as a word and as a sentence (``message``), and what a switchover needs
    (None: not known yet).

    ``message_source`` is the message or makes it: few of them are reported.
    ``downtime_needed_seconds`` is the time in which all that remained at the latest iteration
    start could be sent; ``bandwidth_needed_bytes_per_second`` the least bandwidth with which
    iterations get shorter.
    """

    verdict: Verdict
    reason: VerdictReason
    message_source: "str | _MemoryMessage"
    downtime_needed_seconds: float | None = None
    bandwidth_needed_bytes_per_second: int | None = None

    @property
    def message(self) -> str:
        """The reason as a sentence."""
        source = self.message_source
        return source if isinstance(source, str) else source()


# Verdicts that need an operator's attention.
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
        "the server runs at its destination; the remaining memory follows",
    ),
    Phase.POST_COPY_PAUSED: (
        Verdict.POST_COPY_PAUSED,
        VerdictReason.CONNECTION_LOST,
        "the connection was lost in post-copy; the server waits for its memory",
    ),
    Phase.DONE: (Verdict.ENDED, VerdictReason.NOT_OBSERVED, "the migration has ended"),
}


def judge(
    precopy: PrecopyState,
    phase: Phase,
    now: float,
    before: Judgement | None,
    silent_seconds: float | None = None,
) -> Judgement:
    """Judge a migration that is in ``phase``; ``now`` in the time of its samples.

    ``before`` is the previous judgement: its verdict is retained until there is clear evidence
    against it, and after the end the message quotes it. ``silent_seconds``: for how long libvirt
    has not answered, if that is longer than usual.
    """
    if phase is Phase.DONE and before is not None:
        message = f"{before.verdict} at the end: {before.message}"
        return before._replace(verdict=Verdict.ENDED, message_source=message)
    reason = stall.stalled(precopy, phase, now, silent_seconds)
    if reason is not None:
        return Judgement(Verdict.STALLED, *reason)
    if phase in _BY_PHASE:
        return _of_phase(precopy, phase, now, silent_seconds)
    if (
        precopy.paused_at is not None
        and guest_pause.is_seen(precopy)
        and phase is not Phase.DISK_COPY
    ):
        return Judgement(
            Verdict.CONVERGING, VerdictReason.GUEST_PAUSED, _while_paused(precopy, now)
        )
    if phase is Phase.DISK_COPY and precopy.disks.never_end:
        return Judgement(
            Verdict.NOT_CONVERGING,
            VerdictReason.DISK_WRITE_RATE_TOO_HIGH,
            "the server writes to its disks as fast as they are copied; needs fewer writes or "
            "more bandwidth",
        )
    return _of_memory(precopy, before)


def _of_phase(
    precopy: PrecopyState, phase: Phase, now: float, silent_seconds: float | None
) -> Judgement:
    word, reason, message = _BY_PHASE[phase]
    if phase is Phase.SETUP and now - precopy.started_at >= _SETUP_SECONDS:
        reason = VerdictReason.SLOW_SETUP
        waited = duration.describe(now - precopy.started_at)
        message = f"nothing has been copied for {waited} since it started"
    if phase is Phase.POST_COPY_PAUSED and silent_seconds is not None:
        message += f"; {stall.silence(silent_seconds)}"
    return Judgement(word, reason, message)


def _while_paused(precopy: PrecopyState, now: float) -> str:
    remaining = precopy.latest.memory_remaining_bytes if precopy.latest else None
    left = "" if remaining is None else f" {remaining / _MIB:.0f} MiB"
    return (
        f"{guest_pause.describe_pause(precopy, now)}, by an operator or a tool: it dirties no "
        f"memory, and waits until the remaining{left} are copied"
    )


def _of_memory(precopy: PrecopyState, before: Judgement | None) -> Judgement:
    downtime, bandwidth = downtime_needed(precopy), bandwidth_needed(precopy)
    fits = _fits(precopy, downtime)
    verdict = _verdict_by_iterations(precopy, before.verdict if before else None, fits)
    if precopy.devices_move and verdict is not Verdict.NOT_CONVERGING:
        verdict, reason = Verdict.COPYING, VerdictReason.DEVICE_STATE_MOVES
    elif verdict is Verdict.NOT_CONVERGING:
        reason = VerdictReason.DIRTY_RATE_TOO_HIGH
    elif verdict is Verdict.COPYING:
        reason = VerdictReason.TOO_FEW_ITERATIONS
    else:
        reason = VerdictReason.REMAINING_MEMORY_SHRINKS
        if fits:
            reason = VerdictReason.REMAINING_MEMORY_FITS
    message = _MemoryMessage(precopy, reason, downtime, bandwidth)
    return Judgement(verdict, reason, message, downtime, bandwidth)


class _MemoryMessage(NamedTuple):
    """The message of a judgement by iterations, as a value: it is made when it is called for."""

    precopy: PrecopyState
    reason: VerdictReason
    downtime_seconds: float | None
    bandwidth_bytes_per_second: int | None

    def __call__(self) -> str:
        precopy = self.precopy
        match self.reason:
            case VerdictReason.DEVICE_STATE_MOVES:
                message = _devices(precopy)
            case VerdictReason.DIRTY_RATE_TOO_HIGH:
                message = _why_not(precopy, self.downtime_seconds, self.bandwidth_bytes_per_second)
            case VerdictReason.TOO_FEW_ITERATIONS:
                message = "too early to judge: too few iterations to compare"
            case _:
                left = ", ".join(f"{b.remaining_bytes / _MIB:.0f}" for b in precopy.iterations[-4:])
                slowed = _slowed(precopy)
                message = f"the latest iterations had {left} MiB to send at their start{slowed}"
        return message + ("; the state of its devices follows" if precopy.devices_follow else "")


def _verdict_by_iterations(precopy: PrecopyState, before: Verdict | None, fits: bool) -> Verdict:
    iterations = precopy.undisturbed
    if fits:
        return Verdict.CONVERGING
    if len(iterations) < _ITERATIONS_TO_COMPARE:
        return Verdict.COPYING
    if precopy.on_plateau:
        return Verdict.NOT_CONVERGING
    needed, rate = _rate_needed(precopy), precopy.memory_bytes_per_second
    enough = needed is not None and rate is not None and rate >= needed
    if precopy.is_faster and enough:
        return Verdict.CONVERGING
    if before is Verdict.NOT_CONVERGING:
        return Verdict.CONVERGING if recovers(iterations) else before
    if enough and shrank(iterations):
        return Verdict.CONVERGING
    return before if before is Verdict.CONVERGING else Verdict.COPYING


def downtime_needed(precopy: PrecopyState) -> float | None:
    """Return the seconds in which all that remained at the latest iteration start can be sent."""
    rate = precopy.memory_bytes_per_second if precopy.iterations else None
    return precopy.iterations[-1].remaining_bytes / rate if rate else None


def _fits(precopy: PrecopyState, downtime_seconds: float | None) -> bool:
    limit = precopy.latest.downtime_limit_seconds if precopy.latest else None
    return downtime_seconds is not None and limit is not None and downtime_seconds <= limit


def bandwidth_needed(precopy: PrecopyState) -> int | None:
    """Return the least bandwidth on the wire with which an iteration leaves less than it sends.

    In bytes a second, by what the guest dirtied lately. A guest that has dirtied its whole working
    set may dirty faster than can be measured.
    """
    needed = _rate_needed(precopy)
    return None if needed is None else counted(needed * precopy.wire_bytes_per_guest_byte)


def _rate_needed(precopy: PrecopyState) -> float | None:
    """Return the same in bytes of the guest, which are fewer on the wire if compressed."""
    known = precopy.dirtying
    return None if known is None else known.dirtied_bytes / known.seconds / MAX_RATIO


def auto_converge_goes_on(precopy: PrecopyState) -> bool:
    """Return whether auto-converge slows the guest down, and can do so further."""
    percent = precopy.latest.cpu_throttle_percent if precopy.latest else None
    return percent is not None and percent < _AUTO_CONVERGE_END_PERCENT


def _why_not(precopy: PrecopyState, downtime: float | None, bandwidth: int | None) -> str:
    left = precopy.iterations[-1].remaining_bytes / _MIB
    text = f"remaining memory no longer shrinks ({left:.0f} MiB per iteration)"
    limit = precopy.latest.downtime_limit_seconds if precopy.latest else None
    if downtime is not None:
        text += f"; needs a downtime limit of {duration.describe(downtime)}"
        text += "" if limit is None else f" (now {duration.describe(limit)})"
    rate = precopy.wire.bytes_per_second
    if bandwidth is not None and rate is not None:
        text += f"; or more than {max(bandwidth, rate) / _MIB:.0f} MiB/s"
    return text + (_slowed(precopy) or "; or auto-converge or post-copy")


def _devices(precopy: PrecopyState) -> str:
    sent = precopy.latest.vfio_transferred_bytes if precopy.latest else None
    return (
        f"the state of the server's devices moves, {(sent or 0) / _MIB:.0f} MiB so far; "
        "its total is not known"
    )


def _slowed(precopy: PrecopyState) -> str:
    percent = precopy.latest.cpu_throttle_percent if precopy.latest else None
    if percent is None:
        return ""
    more = "and can slow it further" if auto_converge_goes_on(precopy) else "and is at its limit"
    return f"; auto-converge slows the guest by {percent} % {more}"

# SPDX-License-Identifier: Apache-2.0
"""Detect that a migration is stalled, in each phase, whether libvirt answers or not.

``doc/source/forecast.rst`` has it as one table.
"""

from migprog.core import duration
from migprog.core.forecast import guest_pause
from migprog.core.forecast.precopy import STANDSTILL_SECONDS, PrecopyState
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.status import Phase

# A reason as a word, and as a sentence.
Reason = tuple[VerdictReason, str]

# A switchover that takes more completion times than this is stuck.
_COMPLETION_TIMES = 4


def stalled(
    precopy: PrecopyState, phase: Phase, now: float, silent_seconds: float | None
) -> Reason | None:
    """Return why no data moves; None while data moves, or while that cannot be known yet.

    ``silent_seconds``: for how long libvirt has not answered, if that is longer than usual.
    """
    if phase in (Phase.POST_COPY_PAUSED, Phase.DONE):
        return None
    if phase is Phase.SWITCHOVER:
        return _stuck_switchover(precopy, now, silent_seconds)
    if silent_seconds is not None:
        message = silence(silent_seconds) + _MEANWHILE[phase] + _paused(precopy, now)
        return VerdictReason.LIBVIRT_NOT_RESPONDING, message
    still_seconds = _still_seconds(precopy, now)
    if phase is Phase.SETUP or still_seconds is None:
        # Pinning all memory, or establishing a slow connection, may take minutes.
        return None
    advice = _ADVICE[phase] + _uncounted(precopy)
    still = f"no byte has moved for {duration.describe(still_seconds)}"
    message = still + advice + _paused(precopy, now)
    return VerdictReason.NO_DATA_MOVES, message


_MEANWHILE = {
    Phase.SETUP: "; nothing had been copied until then",
    Phase.DISK_COPY: "; whether the migration goes on is not known",
    Phase.MEMORY_FIRST_ITERATION: "; whether the migration goes on is not known",
    Phase.MEMORY_ITERATIONS: "; whether the migration goes on is not known",
    Phase.POST_COPY: "; the guest at the destination may wait for its memory",
}
_NETWORK = ": look at the network, not at the guest"
_ADVICE = {
    Phase.DISK_COPY: _NETWORK,
    Phase.MEMORY_FIRST_ITERATION: _NETWORK,
    Phase.MEMORY_ITERATIONS: _NETWORK,
    Phase.POST_COPY: " and the guest waits for its memory: look at the network and at QEMU at the "
    "destination",
}


def _uncounted(precopy: PrecopyState) -> str:
    """Name what may move without being counted; empty if nothing can."""
    if not precopy.has_host_devices or precopy.latest is None:
        return ""
    if precopy.latest.vfio_transferred_bytes is not None:
        return ""
    return "; or its devices' state moves, which libvirt does not count before 10.6"


def silence(seconds: float) -> str:
    return f"libvirt has not answered for {duration.describe(seconds)}"


def _paused(precopy: PrecopyState, now: float) -> str:
    return "" if precopy.paused_at is None else f"; {guest_pause.describe_pause(precopy, now)}"


def _still_seconds(precopy: PrecopyState, now: float) -> float | None:
    """Return for how long no byte has moved; None while that is within the phase's limit."""
    moved_at, latest = precopy.moved_at, precopy.latest
    if moved_at is None or latest is None or latest.at - moved_at < precopy.still_seconds:
        return None
    return now - moved_at


def _stuck_switchover(
    precopy: PrecopyState, now: float, silent_seconds: float | None
) -> Reason | None:
    """Return why a switchover is stuck; None if it is not.

    QEMU does not answer while it sends what remains, so only the elapsed time can show it.
    """
    since = guest_pause.waits_since(precopy)
    if since is None:
        return None
    completion_seconds = guest_pause.completion_time_seconds(precopy)
    patience = max(STANDSTILL_SECONDS, _COMPLETION_TIMES * completion_seconds)
    if not guest_pause.is_seen(precopy):
        patience += guest_pause.downtime_limit_seconds(precopy)
    if now - since < patience:
        return None
    text = guest_pause.describe_pause(precopy, now)
    if silent_seconds is not None:
        return VerdictReason.SWITCHOVER_STUCK, (
            f"{text} by a switchover that does not end; {silence(silent_seconds)}: look at QEMU "
            "and libvirt at the destination"
        )
    return VerdictReason.SWITCHOVER_STUCK, (
        f"{text} by a switchover that should take {duration.describe(completion_seconds)}: look at "
        "QEMU and libvirt at the destination"
    )

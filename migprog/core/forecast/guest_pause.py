# SPDX-License-Identifier: Apache-2.0
"""A guest that is paused while it migrates: by QEMU's switchover, or by an operator or a tool.

1. libvirt sends the same event (suspended, migrated) for both: for QEMU's own switchover, and for
   ``virsh suspend`` or Nova's force-complete while memory is copied. The event is no proof.
2. QEMU switches over when the remaining memory fits into the downtime limit. Just before, it
   collects the pages that the guest has dirtied, which begins an iteration.
3. The remaining memory decides: a paused guest with more than that to copy waits for its memory,
   and nothing dirties it meanwhile.
"""

from migprog.core import duration
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.precopy import UNMEASURED_RATES, PrecopyState

# QEMU's default max downtime, where the limit in force could not be read.
DEFAULT_DOWNTIME_LIMIT_SECONDS = 0.3
# From the switchover until libvirt says that the server has left: the handshake of both libvirts.
# It depends on the machines; this is the default until earlier migrations have shown how long.
COMPLETION_TIME_SECONDS = 1.45
# The iteration start of a switchover and its pause come within this time of each other.
_TOGETHER_SECONDS = 0.3
# QEMU uses the rate of its last tenth of a second, which may be this many times the mean.
_BURST = 2.0


def paused(precopy: PrecopyState, at: float, was_found: bool = False) -> PrecopyState:
    """Return the state after the guest was paused, for whatever reason.

    ``was_found``: ``at`` is when that was first seen; it may have been paused long before.
    """
    if precopy.paused_at is not None:
        return precopy
    return precopy._replace(paused_at=at, was_found_paused=was_found)


def resumed(precopy: PrecopyState, at: float) -> PrecopyState:
    """Return the state after the guest runs at its source again."""
    return precopy._replace(paused_at=None, paused_seconds=precopy.paused_in_iteration(at))


def post_copy_begins(precopy: PrecopyState, at: float) -> PrecopyState:
    """Return the state after post-copy has begun, was interrupted, or goes on.

    Its rate is measured from scratch: the pre-copy bandwidth limit need not apply, and the time of
    an interruption does not count.
    """
    return precopy._replace(
        paused_at=None,
        turned_at=at,
        moved_at=at,
        **UNMEASURED_RATES,
    )


def is_switchover(precopy: PrecopyState) -> bool:
    """Return whether the guest is paused by QEMU's switchover, as far as counters show."""
    paused_at, sample = precopy.paused_at, precopy.latest
    if paused_at is None:
        return False
    if sample is None:
        # Nothing but the event is known: a short migration, seen at its end.
        return True
    began_at = _iteration_began_at(precopy)
    begins = began_at is not None and began_at >= paused_at - _TOGETHER_SECONDS
    if sample.at < paused_at:
        return begins or may_fit(precopy, paused_at)
    if began_at is not None and began_at > max(sample.at, paused_at + _TOGETHER_SECONDS):
        # What the guest dirtied before the pause is sent now; the earlier count lacks it.
        begins = begins and not _ran_in_iteration(precopy, paused_at)
    return begins and _fits(precopy, sample.memory_remaining_bytes)


def describe_pause(precopy: PrecopyState, now: float) -> str:
    """Describe for how long the guest has been paused; empty while it runs."""
    if precopy.paused_at is None:
        return ""
    least = "at least " if precopy.was_found_paused else ""
    return f"guest paused for {least}{duration.describe(now - precopy.paused_at)}"


def _ran_in_iteration(precopy: PrecopyState, paused_at: float) -> bool:
    """Return whether a paused guest may have run in the latest iteration that was sampled."""
    began_at = precopy.iteration_started_at
    if began_at is None or began_at < paused_at:
        return True
    return precopy.was_found_paused and not precopy.iterations


def is_seen(precopy: PrecopyState) -> bool:
    """Return whether the guest is paused, and what remains was read since."""
    paused_at, latest = precopy.paused_at, precopy.latest
    return paused_at is not None and latest is not None and latest.at >= paused_at


def waits_since(precopy: PrecopyState) -> float | None:
    """Return since when a switchover, or the rest of it, lasts without a byte seen moving; None
    while the guest runs."""
    since, latest = switched_at(precopy), precopy.latest
    if since is None or latest is None or latest.at < since or precopy.moved_at is None:
        return since
    return max(since, precopy.moved_at)


def switched_at(precopy: PrecopyState) -> float | None:
    """Return when a paused guest was switched over: at the latest iteration start, if it was paused
    before that. None while it runs."""
    if precopy.paused_at is None:
        return None
    began_at = _iteration_began_at(precopy)
    return precopy.paused_at if began_at is None else max(precopy.paused_at, began_at)


def _iteration_began_at(precopy: PrecopyState) -> float | None:
    known = [
        at for at in (precopy.iteration_event_at, precopy.iteration_started_at) if at is not None
    ]
    return max(known, default=None)


def may_fit(precopy: PrecopyState, at: float) -> bool:
    """Return whether the memory remaining at the latest sample may fit a downtime by ``at``."""
    sample = precopy.latest
    assert sample is not None
    remaining, rate = sample.memory_remaining_bytes, precopy.memory_bytes_per_second
    if remaining is None:
        return False
    return rate is None or _fits(precopy, int(remaining - rate * (at - sample.at)))


def _fits(precopy: PrecopyState, remaining_bytes: int | None) -> bool:
    """Return whether QEMU may switch over with so much remaining."""
    if remaining_bytes is None:
        return False
    rate = precopy.memory_bytes_per_second or _mean_rate(precopy.latest)
    return rate is None or remaining_bytes <= _BURST * rate * downtime_limit_seconds(precopy)


def _mean_rate(sample: Sample | None) -> float | None:
    """Return bytes a second since the start, by one sample, which may be from after a pause."""
    if sample is None or not sample.elapsed_seconds:
        return None
    copied = sample.memory_copied_bytes or sample.memory_processed_bytes
    return copied / sample.elapsed_seconds if copied else None


def downtime_limit_seconds(precopy: PrecopyState) -> float:
    """Return the downtime limit in force, or QEMU's default where it is not known."""
    limit = precopy.latest.downtime_limit_seconds if precopy.latest else None
    return DEFAULT_DOWNTIME_LIMIT_SECONDS if limit is None else limit


def completion_time_seconds(precopy: PrecopyState) -> float:
    """Return the expected completion time, from the switchover to the end."""
    return (
        COMPLETION_TIME_SECONDS
        if precopy.completion_time_seconds is None
        else precopy.completion_time_seconds
    )

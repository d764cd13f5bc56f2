# SPDX-License-Identifier: Apache-2.0
"""Say what nova-compute will do next about a migration, and when; steering itself does nothing."""

from migprog.core.status import Phase
from migprog.core.steering import history as history_
from migprog.core.steering import nova_schedule
from migprog.core.steering.advice import Advice, AdviceReason, SteeringAction
from migprog.core.steering.history import History
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.situation import Situation

_BEGUN = (Phase.SETUP, Phase.DISK_COPY, Phase.MEMORY_FIRST_ITERATION, Phase.MEMORY_ITERATIONS)
# Nova looks at its clock twice a second.
_LOOK_SECONDS = 1.0
# What was said of a time is corrected if it differs by more than this share, and these seconds:
# sizes become known one after the other, and disks may grow.
_DIFFERS, _DIFFERS_SECONDS = 0.1, 5.0


def foretell(
    options: NovaOptions, now: Situation, history: History
) -> tuple[History, Advice | None]:
    """Return the history, and what Nova will do next if that was not said before.

    ``at`` is when it was said, ``works_by`` when Nova will have done it. Nova counts from the
    moment when it starts the migration, which is within a second or so of libvirt's job.
    """
    if now.phase not in _BEGUN or not now.memory_bytes:
        # Nova counts by size.
        return history, None
    gib = nova_schedule.data_gib(now.memory_bytes, now.disks_bytes)
    advice = _next(options, now, gib)
    if advice is None or any(_says_the_same(each, advice) for each in history.advice):
        return history, None
    return history_.add(history, advice), advice


def _says_the_same(earlier: Advice, advice: Advice) -> bool:
    if (earlier.reason, earlier.sets_downtime_limit_seconds) != (
        advice.reason,
        advice.sets_downtime_limit_seconds,
    ):
        return False
    before, after = earlier.figures["after_seconds"], advice.figures["after_seconds"]
    return abs(after - before) <= max(_DIFFERS_SECONDS, _DIFFERS * before)


def _next(options: NovaOptions, now: Situation, gib: float) -> Advice | None:
    step = nova_schedule.next_step(options, gib, now.elapsed_seconds)
    timeout = nova_schedule.completion_timeout_seconds(options, gib)
    if timeout is not None and now.elapsed_seconds > timeout:
        return None
    if step is not None and (timeout is None or step.after_seconds <= timeout):
        return Advice(
            action=SteeringAction.RAISE_DOWNTIME,
            reason=AdviceReason.NOVA_DOWNTIME_STEP,
            message=f"nova-compute sets the downtime limit to {step.downtime_ms} ms after "
            f"{step.after_seconds} s, even if that lowers it",
            at=now.at,
            works_by=now.started_at + step.after_seconds + _LOOK_SECONDS,
            figures={
                "downtime_limit_seconds": step.downtime_ms / 1000,
                "after_seconds": float(step.after_seconds),
            },
        )
    return None if timeout is None else _timeout(options, now, timeout)


def _timeout(options: NovaOptions, now: Situation, timeout: int) -> Advice:
    action, what = SteeringAction.ABORT, "aborts the migration"
    if options.timeout_action == nova_schedule.FORCE_COMPLETE:
        action, what = SteeringAction.PAUSE, "pauses the server until its memory is copied"
        if options.permit_post_copy:
            action, what = SteeringAction.POST_COPY, "begins post-copy"
    return Advice(
        action=action,
        reason=AdviceReason.NOVA_COMPLETION_TIMEOUT,
        message=f"nova-compute {what} if it has not completed after {timeout} s",
        at=now.at,
        works_by=now.started_at + timeout + _LOOK_SECONDS,
        figures={"after_seconds": float(timeout)},
    )

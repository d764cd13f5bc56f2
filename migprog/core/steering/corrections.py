# SPDX-License-Identifier: Apache-2.0
"""Advise what corrects an action of steering's own: to set a limit again that another party has
lowered, and to abort where a pause lasts too long."""

from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.core.steering import hold, sentences
from migprog.core.steering.advice import Advice, AdviceReason, State, SteeringAction
from migprog.core.steering.choices import HIGHER, LEAST_SECONDS, figures_of, works_within
from migprog.core.steering.history import History
from migprog.core.steering.requirements import Requirements
from migprog.core.steering.situation import Situation

# A limit is set again so often, and tried so often where that fails.
_MOST_ASSERTIONS = 3
_BEFORE_END = (Phase.MEMORY_FIRST_ITERATION, Phase.MEMORY_ITERATIONS, Phase.SWITCHOVER)


def limit_that_was_lowered(needs: Requirements, now: Situation, history: History) -> Advice | None:
    """Return that the limit which steering had set is to be set again, or that it is left, if
    another party has lowered it. The caller knows that the migration needs it."""
    if history.downtime_limit_seconds is None or SteeringAction.RAISE_DOWNTIME not in needs.may:
        return None
    if history.was_advised(SteeringAction.ABORT) or history.was_advised(
        SteeringAction.STOP_ASSERTING
    ):
        return None
    ours = min(history.downtime_limit_seconds, needs.longest_downtime_seconds)
    other = now.known_limit_seconds
    if other is None or other >= ours / HIGHER or _may_yet_work(history.latest, now):
        return None
    states = [each.state for each in history.made if each.reason is AdviceReason.LIMIT_LOWERED]
    if states[-1:] == [State.ADVISED]:
        # It is only advised: again would change nothing.
        return None
    done, failed = states.count(State.DONE), states.count(State.FAILED)
    is_over = max(done, failed) >= _MOST_ASSERTIONS
    message = sentences.set_again(ours, other)
    if is_over:
        message = sentences.set_no_more(ours, other, done, failed)
    return Advice(
        action=SteeringAction.STOP_ASSERTING if is_over else SteeringAction.RAISE_DOWNTIME,
        reason=AdviceReason.LOWERED_REPEATEDLY if is_over else AdviceReason.LIMIT_LOWERED,
        message=message,
        at=now.at,
        works_by=now.at + works_within(now, now.forecast_with(ours)),
        figures=figures_of(
            downtime_limit_before_seconds=other,
            downtime_limit_seconds=None if is_over else ours,
        ),
    )


def _may_yet_work(latest: Advice | None, now: Situation) -> bool:
    """Return whether the latest decision may yet end the migration. One that set the limit which
    was lowered can not."""
    if latest is None or now.at >= latest.works_by:
        return False
    return latest.state is not State.DONE or latest.sets_downtime_limit_seconds is None


def pause_that_lasts(needs: Requirements, now: Situation, history: History) -> Advice | None:
    """Return that a migration is to be given up for which steering has paused the guest, if the
    pause is too long by the factor, and would go on for longer than is allowed.

    libvirt allows nothing else to end a pause during a migration, and resumes the guest at its
    source once the migration is aborted. That is possible during a switchover, too, for which the
    end of a pause is taken.
    """
    pause = latest = history.latest
    if history.is_to_be_repeated(SteeringAction.ABORT):
        before = [each for each in history.made if each.action is not SteeringAction.ABORT]
        pause = before[-1] if before and latest and now.at >= latest.works_by else None
    if pause is None or pause.action is not SteeringAction.PAUSE or pause.state is not State.DONE:
        return None
    if not now.guest_is_paused or now.phase not in _BEFORE_END or hold.is_sample_too_old(now):
        return None
    longest, lasted = needs.longest_pause_seconds, now.at - pause.at
    is_long = lasted > needs.hopeless_factor * longest and now.at >= pause.works_by
    if SteeringAction.ABORT not in needs.may or not is_long:
        return None
    if now.verdict is Verdict.STALLED:
        now = now._replace(bytes_per_second=None)
    rest = now.rest_seconds
    if rest is not None and rest <= longest:
        return None
    return Advice(
        action=SteeringAction.ABORT,
        reason=AdviceReason.HOPELESS,
        message=sentences.pause_too_long(now, lasted, longest),
        at=now.at,
        works_by=now.at + LEAST_SECONDS,
        figures=figures_of(paused_seconds=lasted, rest_seconds=rest),
    )

# SPDX-License-Identifier: Apache-2.0
"""Who did what to a migration, and when, as far as its record and history show it."""

from collections.abc import Iterator
from typing import NamedTuple

from migprog.core import operator_actions
from migprog.core.actions import Action
from migprog.core.post_mortem.facts import Facts
from migprog.core.post_mortem.timeline import Timeline
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import POST_COPY_PHASES, Status
from migprog.core.steering.advice import BY_NOVA, State, SteeringAction

STEERING, QEMU, OPERATOR = "steering", "qemu", "operator"
AUTO_CONVERGE = "auto-converge"


class ActionTaken(NamedTuple):
    """``action``: a word of steering's or operators' actions, or :data:`AUTO_CONVERGE`. ``by``: who
    did it; None for a :class:`WhyNotKnown`. ``after_seconds``: when it was asked for or seen first,
    since the start. ``failed``: it was tried, and libvirt refused. ``user_id``, ``project_id``:
    the operator who asked migprog for it, where known.
    """

    action: str
    after_seconds: float
    by: str | None
    failed: bool = False
    reason: WhyNotKnown | None = None
    user_id: str | None = None
    project_id: str | None = None


def actions_taken(facts: Facts, line: Timeline) -> tuple[ActionTaken, ...]:
    """Return the actions in order of time.

    Steering's own, and what operators asked migprog for, are in the record; of others only the
    effect is seen: an abort, post-copy and auto-converge. A downtime limit or a bandwidth that
    somebody else has set leaves no trace.
    """
    ours = (*_of_steering(facts, line), *_of_operators(facts, line))
    done = {taken.action for taken in ours if not taken.failed}
    if Action.FORCE_COMPLETE in done:
        # By post-copy, where the migration permits that.
        done.add(SteeringAction.POST_COPY)
    found = [*ours, *(taken for taken in _effects(facts, line) if taken.action not in done)]
    return tuple(sorted(found, key=lambda taken: taken.after_seconds))


def _of_steering(facts: Facts, line: Timeline) -> Iterator[ActionTaken]:
    started = facts.started_at.timestamp()
    for entry in facts.advice or ():
        if entry["state"] not in (State.DONE, State.FAILED) or entry["reason"] in BY_NOVA:
            continue
        seconds = min(line.seconds, max(0.0, entry["at"] - started))
        failed = entry["state"] == State.FAILED
        yield ActionTaken(entry["action"], seconds, STEERING, failed=failed)


def _of_operators(facts: Facts, line: Timeline) -> Iterator[ActionTaken]:
    for entry in facts.actions or ():
        yield ActionTaken(
            entry["action"],
            min(line.seconds, entry["after_seconds"]),
            OPERATOR,
            failed=entry["state"] == operator_actions.FAILED,
            user_id=entry["user_id"],
            project_id=entry["project_id"],
        )


def _effects(facts: Facts, line: Timeline) -> Iterator[ActionTaken]:
    throttled = (seen for seen in line.seen if seen.point.cpu_throttle_percent)
    if (first := next(throttled, None)) is not None:
        yield ActionTaken(AUTO_CONVERGE, first.seconds, QEMU)
    turned = (seen for seen in line.seen if seen.point.phase in POST_COPY_PHASES)
    if (first := next(turned, None)) is not None:
        yield ActionTaken(
            SteeringAction.POST_COPY.value, first.seconds, None, reason=WhyNotKnown.NOT_RECORDED
        )
    if facts.status is Status.CANCELLED:
        yield ActionTaken(
            SteeringAction.ABORT.value, line.seconds, None, reason=WhyNotKnown.NOT_RECORDED
        )

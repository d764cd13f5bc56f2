# SPDX-License-Identifier: Apache-2.0
"""What another party has done of what steering has only advised."""

import dataclasses

from migprog.core.status import POST_COPY_PHASES, Phase
from migprog.core.steering.advice import Advice, State, SteeringAction, reaches
from migprog.core.steering.history import History
from migprog.core.steering.situation import Glimpse, Situation

_BEFORE_PAUSE = (
    SteeringAction.RAISE_DOWNTIME,
    SteeringAction.RAISE_BANDWIDTH,
    SteeringAction.PAUSE,
)


def mark(history: History, now: Situation | Glimpse) -> History:
    """Return the history in which an entry that another party has carried out, or for which it has
    done more, is :attr:`State.FOLLOWED`. It stays so."""
    if not history.advice or not any(_is_followed(each, now) for each in history.advice):
        return history
    changed = (
        dataclasses.replace(each, state=State.FOLLOWED) if _is_followed(each, now) else each
        for each in history.advice
    )
    return history._replace(advice=tuple(changed))


def _is_followed(advice: Advice, now: Situation | Glimpse) -> bool:
    if advice.state is not State.ADVISED or advice.has_lapsed or not advice.is_ours:
        return False
    if advice.at >= now.at:
        return False
    if now.phase in POST_COPY_PHASES:
        return advice.action is not SteeringAction.ABORT
    if now.phase in (Phase.SWITCHOVER, Phase.DONE):
        # The guest is paused by the switchover itself.
        return False
    if now.guest_is_paused and advice.action in _BEFORE_PAUSE:
        return True
    limit = advice.sets_downtime_limit_seconds
    if limit is not None:
        return now.downtime_limit_is_known and reaches(now.downtime_limit_seconds, limit)
    bandwidth = advice.figures.get("bandwidth_bytes_per_second")
    cap = now.capabilities.bandwidth_cap_bytes_per_second
    return bandwidth is not None and cap is not None and reaches(cap, bandwidth)

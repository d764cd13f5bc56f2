# SPDX-License-Identifier: Apache-2.0
"""The sentence of a plan, for people."""

import math
from dataclasses import dataclass

from migprog.core.drain_plan import Plan

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Missing:
    """What runs on the host and is not in the plan: so many servers without a forecast; ``more``:
    perhaps others, as it is not known how many run there."""

    count: int = 0
    more: bool = False

    def __bool__(self) -> bool:
        return self.count > 0 or self.more


def planned(plan: Plan, missing: Missing) -> str:
    """Return what a plan says that has not begun."""
    if not plan.moves:
        return f"no server can be planned{_rest(plan, missing)}"
    text = f"{_servers(len(plan.moves))} in {_time(plan)}, at most {plan.at_once} at once"
    usual = plan.usual_end_seconds
    if usual is None:
        text += "; two at once, the largest first, would not end"
    else:
        text += f"; two at once, the largest first: {duration(usual)}"
    return text + _rest(plan, missing)


def followed(
    plan: Plan, done: int, running: int, late_seconds: float | None, missing: Missing
) -> str:
    """Return how a drain goes. ``plan`` is the present one, from its begin on."""
    waiting = max(0, len(plan.moves) - running)
    least = " at least" if missing.more else ""
    text = f"{done} moved, {running} in progress, {waiting + missing.count} to go{least}; "
    if not running and not waiting:
        text += f"the last ended after {duration(plan.end_seconds)}"
    else:
        text += f"ends {_time(plan)} after its begin"
    if late_seconds is not None:
        later = "late" if late_seconds >= 0 else "early"
        text += f", {duration(abs(late_seconds))} {later}"
    return text + _rest(plan, missing)


def _rest(plan: Plan, missing: Missing) -> str:
    text = ""
    if plan.stays:
        stay = "does" if len(plan.stays) == 1 else "do"
        text += f"; {_servers(len(plan.stays))} {stay} not move without help"
    if missing.count:
        takes = "it takes" if missing.count == 1 else "they take"
        text += f"; {_servers(missing.count)} not measured: what {takes} is not in it"
    if missing.more:
        text += "; how many servers run there is not known yet"
    return text


def _time(plan: Plan) -> str:
    if not math.isfinite(plan.end_seconds):
        return "a time that is not known"
    if plan.high_end_seconds is None:
        return f"{duration(plan.end_seconds)} at least"
    low, high = duration(plan.low_end_seconds), duration(plan.high_end_seconds)
    return f"{duration(plan.end_seconds)} ({low} to {high})"


def _servers(count: int) -> str:
    return "1 server" if count == 1 else f"{count} servers"


def duration(seconds: float) -> str:
    """Return a time such as ``42 s``, ``3 min 12 s`` or ``1 h 4 min``."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"

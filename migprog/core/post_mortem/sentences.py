# SPDX-License-Identifier: Apache-2.0
"""A post-mortem in five sentences: the outcome, where the time went, what would have helped, how
good the forecasts were, who did what."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from migprog.core.duration import describe
from migprog.core.forecast import verdict
from migprog.core.post_mortem.actions import OPERATOR, ActionTaken
from migprog.core.post_mortem.measures import DIRTY_LESS, Measure
from migprog.core.post_mortem.phases import GUEST_PAUSED, NOT_OBSERVED, STALLED, Share
from migprog.core.post_mortem.summary import Summary
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import Phase, Status
from migprog.core.steering.advice import SteeringAction

_MIB = 2**20
# In a sentence; the others are in the document.
_MOST_MEASURES = 3
_MOST_ACTIONS = 4
_DONE: Mapping[str, str] = {
    Phase.SETUP.value: "setting up",
    Phase.DISK_COPY.value: "copying disks",
    Phase.MEMORY_FIRST_ITERATION.value: "the first memory iteration",
    Phase.MEMORY_ITERATIONS.value: "sending memory again",
    Phase.SWITCHOVER.value: "the switchover",
    Phase.POST_COPY.value: "post-copy",
    Phase.POST_COPY_PAUSED.value: "waiting for the connection in post-copy",
    STALLED: "waiting while no data moved",
    GUEST_PAUSED: "waiting while the guest was paused",
    NOT_OBSERVED: "what no agent saw",
}


class Sentences(NamedTuple):
    """The five of them, in the order in which they are read; without names of hosts."""

    outcome: str
    time: str
    measures: str
    forecast: str
    actions: str


def sentences(summary: Summary) -> Sentences:
    """Return what a post-mortem says to people."""
    return Sentences(
        _outcome(summary),
        _where(summary),
        _what_would_help(summary),
        _forecast(summary),
        _who(summary),
    )


def _outcome(summary: Summary) -> str:
    if summary.in_progress:
        return f"{summary.status}, for {describe(summary.seconds)} by the latest sample"
    if summary.status is Status.UNKNOWN:
        return "ended; no agent saw how"
    downtime = summary.downtime_seconds
    paused = "" if downtime is None else f"; downtime {describe(downtime)}"
    return f"{summary.status} after {describe(summary.seconds)}{paused}"


def _where(summary: Summary) -> str:
    spent = summary.spent
    if spent.dominant is None:
        return "where the time went is not known: too little of it was seen"
    by_length = sorted(spent.shares, key=lambda share: -share.seconds)
    return "time went into " + ", ".join(map(_share, by_length))


def _share(share: Share) -> str:
    what = _DONE.get(share.phase, share.phase)
    return f"{what} {describe(share.seconds)} ({share.percent or '<1'} %)"


def _what_would_help(summary: Summary) -> str:
    if summary.in_progress:
        return "what would have helped is known at the end"
    known = [each for each in summary.measures if each.reason is None]
    if known:
        return "would have helped: " + "; or ".join(map(measure, known[:_MOST_MEASURES]))
    dominant = summary.spent.dominant
    if dominant == STALLED:
        return "no limit or rate would have helped: no data moved; check network and libvirt"
    if any(each.reason is WhyNotKnown.NOT_OBSERVED for each in summary.measures):
        return "what would have helped is not known: too little of it was seen"
    if summary.status is not Status.COMPLETED:
        return "what would have let it complete is not known"
    return "no limit or rate would have made it much shorter"


def measure(each: Measure) -> str:
    """Return what would have helped, and by how much."""
    said = _MEASURES[each.action](each.figures)
    if each.earlier_seconds is not None:
        return f"{said}, {describe(each.earlier_seconds)} earlier"
    return f"more than {said}" if each.action == SteeringAction.RAISE_BANDWIDTH else said


def _raise_downtime(figures: Mapping[str, float]) -> str:
    limit = f"a downtime limit of {describe(figures['downtime_limit_seconds'])}"
    before = figures.get("downtime_limit_before_seconds")
    was = "" if before is None else f" (it was {describe(before)})"
    return f"{limit}{was}: end at iteration {figures['iteration']:.0f}"


def _post_copy(figures: Mapping[str, float]) -> str:
    rest = describe(figures["rest_seconds"])
    return f"post-copy from iteration {figures['iteration']:.0f} on, {rest} long"


def _bandwidth(figures: Mapping[str, float]) -> str:
    now, then = figures["bandwidth_bytes_per_second"], figures["bandwidth_before_bytes_per_second"]
    return f"{_rate(now)} rather than {_rate(then)}"


def _dirty_less(figures: Mapping[str, float]) -> str:
    now, then = figures["dirty_bytes_per_second"], figures["dirty_before_bytes_per_second"]
    return f"a guest that dirties {_rate(now)} rather than {_rate(then)}"


_BY = {OPERATOR: "an operator"}
_MEASURES: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    SteeringAction.RAISE_DOWNTIME.value: _raise_downtime,
    SteeringAction.POST_COPY.value: _post_copy,
    SteeringAction.RAISE_BANDWIDTH.value: _bandwidth,
    DIRTY_LESS: _dirty_less,
}


def _rate(bytes_per_second: float) -> str:
    mib = bytes_per_second / _MIB
    return f"{mib:.0f} MiB/s" if mib >= 10 else f"{mib:.2g} MiB/s"


def _forecast(summary: Summary) -> str:
    known = summary.forecast
    if known.error_seconds is not None and known.error_percent is not None:
        return (
            f"forecasts were off by {describe(known.error_seconds)} in the median, "
            f"{known.error_percent:.0f} % of the time left; the end was in the range of "
            f"{known.in_range} of {known.forecasts}"
        )
    bad = next((span for span in summary.verdicts if span.verdict in verdict.BAD), None)
    said = ""
    if bad is not None:
        before = max(0.0, summary.seconds - bad.after_seconds)
        said = (
            f"; {bad.verdict} was said after {describe(bad.after_seconds)}, "
            f"{describe(before)} before {'now' if summary.in_progress else 'the end'}"
        )
    if known.reason is WhyNotKnown.IN_PROGRESS:
        return f"how good the forecasts are is known at the end{said}"
    if known.reason is WhyNotKnown.NO_FORECAST:
        return f"no end was forecast{said}"
    return f"no forecast can be checked: it has not completed{said}"


def _who(summary: Summary) -> str:
    if not summary.actions:
        return "no action is recorded"
    said = [_action_taken(each) for each in summary.actions[-_MOST_ACTIONS:]]
    more = len(summary.actions) - len(said)
    earlier = f"{more} earlier ones; " if more else ""
    return f"actions: {earlier}{'; '.join(said)}"


def _action_taken(taken: ActionTaken) -> str:
    who = "by whom is not recorded" if taken.by is None else f"by {_BY.get(taken.by, taken.by)}"
    if taken.user_id is not None:
        who = f"by user {taken.user_id}"
    failed = ", which libvirt refused" if taken.failed else ""
    return f"{taken.action} after {describe(taken.after_seconds)}, {who}{failed}"

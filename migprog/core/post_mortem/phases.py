# SPDX-License-Identifier: Apache-2.0
"""Where the time of a migration went, by the phases of its history."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from migprog.core.forecast.verdict import Verdict
from migprog.core.post_mortem.facts import Facts
from migprog.core.post_mortem.timeline import SeenPoint, Timeline
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import POST_COPY_PHASES, Phase, Status

# Words beside those of Phase: no data moved; the guest was paused at its source, before or while
# its switchover hung; no agent saw what was done.
STALLED, GUEST_PAUSED, NOT_OBSERVED = "stalled", "guest-paused", "not-observed"
# A pause shorter than this is part of a switchover.
_SHORT_SECONDS = 1.0
# A first point that is this old has been preceded by something that no agent saw.
_FIRST_SECONDS = 5.0


class Span(NamedTuple):
    """``phase`` from ``start`` to ``end``, in seconds since the migration's start."""

    phase: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Share(NamedTuple):
    """All of a migration's time in one phase. ``percent``: of the whole time."""

    phase: str
    seconds: float
    percent: int


class TimeSpent(NamedTuple):
    """``shares`` in the order in which the phases first began. ``within_seconds``: a change of
    phase happened at most so long before it was seen; None: no change was seen.

    ``dominant``: the phase with most of the time; None for a :class:`WhyNotKnown`.
    ``copied_seconds``: when the switchover began, or the guest's pause before it; else the end.
    """

    shares: tuple[Share, ...]
    within_seconds: float | None
    dominant: str | None
    reason: WhyNotKnown | None
    copied_seconds: float

    def seconds_of(self, *phases: str) -> float:
        """Return the seconds in all of these phases."""
        return sum(share.seconds for share in self.shares if share.phase in phases)


def time_spent(facts: Facts, line: Timeline) -> TimeSpent:
    """Return where the time went; the seconds of all phases add up to the timeline's length."""
    spans = _with_downtime(facts, line, list(_spans(line)))
    totals: dict[str, float] = {}
    for span in spans:
        if span.seconds > 0:
            totals[span.phase] = totals.get(span.phase, 0.0) + span.seconds
    shares = tuple(
        Share(phase, seconds, round(100 * seconds / line.seconds))
        for phase, seconds in totals.items()
    )
    most = max(shares, key=lambda share: share.seconds, default=None)
    dominant = None if most is None or most.phase == NOT_OBSERVED else most.phase
    reason = None if dominant is not None else WhyNotKnown.NOT_OBSERVED
    copied = _tail_start(line, spans, {Phase.SWITCHOVER.value, GUEST_PAUSED})
    return TimeSpent(shares, _within(line.seen), dominant, reason, copied)


def _spans(line: Timeline) -> Iterator[Span]:
    if not line.seen:
        yield Span(NOT_OBSERVED, 0.0, line.seconds)
        return
    first = line.seen[0]
    # Nothing comes before the setup.
    is_early = first.seconds <= _FIRST_SECONDS or first.point.phase is Phase.SETUP
    is_whole = is_early and first.point.phase is not Phase.DONE
    yield Span(_phase(first) if is_whole else NOT_OBSERVED, 0.0, first.seconds)
    for seen, until in line.until_next():
        yield Span(_phase(seen), seen.seconds, until)


def _phase(seen: SeenPoint) -> str:
    if seen.point.phase is Phase.DONE:
        # What was done until an end that no agent saw.
        return NOT_OBSERVED
    if seen.point.verdict is Verdict.STALLED:
        return STALLED
    return seen.point.phase.value


def _with_downtime(facts: Facts, line: Timeline, spans: list[Span]) -> list[Span]:
    """Add the part of libvirt's downtime that the history did not show: as a switchover if it is
    short, else as a pause of the guest."""
    downtime = facts.downtime_seconds
    turned = any(span.phase in POST_COPY_PHASES for span in spans)
    if facts.status is not Status.COMPLETED or not downtime or turned:
        return spans
    until = _tail_start(line, spans, {Phase.SWITCHOVER.value})
    more = downtime - (line.seconds - until)
    if more <= 0:
        return spans
    word = Phase.SWITCHOVER.value if more < _SHORT_SECONDS else GUEST_PAUSED
    since = max(0.0, until - more)
    before = [span._replace(end=min(span.end, since)) for span in spans if span.start < since]
    return [*before, Span(word, since, until), *(span for span in spans if span.start >= until)]


def _tail_start(line: Timeline, spans: Sequence[Span], phases: Collection[str]) -> float:
    """Return the start of the last run of spans in ``phases``; the end if there is none."""
    start = line.seconds
    for span in reversed(spans):
        if span.seconds <= 0:
            continue
        if span.phase not in phases:
            break
        start = span.start
    return start


def _within(seen: Sequence[SeenPoint]) -> float | None:
    gaps = [
        after.seconds - before.seconds
        for before, after in itertools.pairwise(seen)
        if after.point.phase is not before.point.phase
    ]
    return max(gaps, default=None)

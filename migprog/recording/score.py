# SPDX-License-Identifier: Apache-2.0
"""Measure forecasts: figures over the lines of a replay, compared with what really happened.

A *sample* is a line before the real end. ETAs are measured where the end could be known: in
migrations that completed, after the last intervention. Figures of several recordings are computed
over all of their samples together.
"""

import collections
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Phase
from migprog.recording import displayed_percent
from migprog.recording.format import Recording
from migprog.recording.ground_truth import GroundTruth, Group
from migprog.recording.replay import Line, Replayed

# An error of the ETA is relative to the time left, for which this is the minimum.
FLOOR_SECONDS = 2.0
_MAX_PERCENT_UNDER_WAY = 99
_IN_MEMORY = (Phase.MEMORY_FIRST_ITERATION, Phase.MEMORY_ITERATIONS)
# Changes of a verdict that rise in this order do not count as flips.
_RANK = {
    Verdict.STARTING: 0,
    Verdict.COPYING: 1,
    Verdict.CONVERGING: 2,
    Verdict.NOT_CONVERGING: 2,
    Verdict.STALLED: 2,
    Verdict.SWITCHING_OVER: 3,
    Verdict.POST_COPY: 4,
    Verdict.POST_COPY_PAUSED: 4,
    Verdict.ENDED: 5,
}

_T = TypeVar("_T")
Figures = dict[str, float | int | str | dict[str, int] | None]


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of one recording; :func:`figures` combines several.

    ``percent_back``, ``percent_above_99``, ``percent_lost``: samples with a percentage below the
    one before, above 99, or null after it had been known.
    ``percent_distances``: points from the percentage to the share of the time that had passed;
    empty unless it completed without intervention.
    ``displayed_distances``: the same for the percentage that a user sees by the reports that were
    sent, looking five times a second, 0 before the first; ``nova_distances``: for Nova's progress.
    ``eta_errors_early``, ``eta_errors_late``: distance from the ETA to the time really left, as a
    share of the latter (of 2 s at least), before and after the start of the second iteration;
    ``eta_late_is_longer``: whether the ETA was longer, for each of those after.
    ``without_eta``: samples after that without an ETA.
    ``in_range``: whether the range held the time left, for each sample that had one.
    ``wrong_verdict``: the last verdict while memory was copied was not-converging though it
    completed without intervention, or converging though it was aborted on a plateau; None where it
    did neither.
    ``flips``: changes of the verdict other than forward in the order of its life (starting,
    copying, converging or not or stalled, switching-over, post-copy, ended); ``flips_beyond``:
    those in excess of the true changes (interventions, changes of the guest's dirty rate).
    ``called_after_seconds``, ``called_after_iterations``: from the start of the plateau to the
    first not-converging; None if there was no plateau, or it was not detected.
    ``not_called``: there was a plateau, and it was not detected.
    """

    name: str
    group: Group
    end: float
    samples: int
    percent_back: int
    percent_above_99: int
    percent_lost: int
    percent_distances: tuple[float, ...]
    displayed_distances: tuple[float, ...]
    nova_distances: tuple[float, ...]
    eta_errors_early: tuple[float, ...]
    eta_errors_late: tuple[float, ...]
    eta_late_is_longer: tuple[bool, ...]
    without_eta: int
    in_range: tuple[bool, ...]
    dirties_little: bool
    wrong_verdict: bool | None
    flips: int
    flips_beyond: int
    called_after_seconds: float | None
    called_after_iterations: int | None
    not_called: bool
    reports: dict[str, int]


def score(
    name: str, replayed: Replayed, truth: GroundTruth, recording: Recording | None = None
) -> Score:
    """Measure the replay of one migration; Nova's progress only with its recording."""
    lines = [line for line in replayed.lines if line.t < truth.end]
    measured = [line for line in lines if truth.completed and line.t >= truth.settled_at]
    early = [line for line in measured if line.t < truth.second_iteration_start]
    late = [line for line in measured if line.t >= truth.second_iteration_start]
    percents = [line.percent for line in lines]
    known = [percent for percent in percents if percent is not None]
    flips = _flips(lines)
    called = _called_at(lines, truth)
    start = truth.plateau.start if truth.plateau else 0.0
    return Score(
        name=name,
        group=truth.group,
        end=truth.end,
        samples=len(lines),
        percent_back=sum(b < a for a, b in itertools.pairwise(known)),
        percent_above_99=sum(percent > _MAX_PERCENT_UNDER_WAY for percent in known),
        percent_lost=sum(a is not None and b is None for a, b in itertools.pairwise(percents)),
        percent_distances=_percent_distances(lines, truth),
        displayed_distances=_displayed_distances(replayed, truth),
        nova_distances=_nova_distances(recording, truth),
        eta_errors_early=_eta_errors(early, truth),
        eta_errors_late=_eta_errors(late, truth),
        eta_late_is_longer=tuple(
            line.eta_seconds > truth.end - line.t for line in late if line.eta_seconds is not None
        ),
        without_eta=sum(line.eta_seconds is None for line in late),
        in_range=_in_range(measured, truth),
        dirties_little=truth.dirties_little,
        wrong_verdict=_wrong_verdict(lines, truth),
        flips=flips,
        flips_beyond=max(0, flips - truth.changes),
        called_after_seconds=None if called is None else called - start,
        called_after_iterations=(
            None if called is None else sum(start < b.t <= called for b in truth.iteration_starts)
        ),
        not_called=truth.plateau is not None and called is None,
        reports=dict(collections.Counter(str(sent.reason) for sent in replayed.reports)),
    )


def _percent_distances(lines: Sequence[Line], truth: GroundTruth) -> tuple[float, ...]:
    if not truth.completed_by_itself:
        return ()
    return tuple(
        abs(line.percent - 100 * line.t / truth.end) for line in lines if line.percent is not None
    )


def _displayed_distances(replayed: Replayed, truth: GroundTruth) -> tuple[float, ...]:
    if not truth.completed_by_itself:
        return ()
    return displayed_percent.distances(
        displayed_percent.reported(replayed.reports, truth.end), truth.end
    )


def _nova_distances(recording: Recording | None, truth: GroundTruth) -> tuple[float, ...]:
    if recording is None or not truth.completed_by_itself:
        return ()
    return displayed_percent.distances(
        displayed_percent.novas_progress(recording, truth.end), truth.end
    )


def _eta_errors(lines: Sequence[Line], truth: GroundTruth) -> tuple[float, ...]:
    return tuple(
        abs(line.eta_seconds - (truth.end - line.t)) / max(FLOOR_SECONDS, truth.end - line.t)
        for line in lines
        if line.eta_seconds is not None
    )


def _in_range(lines: Sequence[Line], truth: GroundTruth) -> tuple[bool, ...]:
    return tuple(
        line.eta_low_seconds <= truth.end - line.t <= line.eta_high_seconds
        for line in lines
        if line.eta_low_seconds is not None and line.eta_high_seconds is not None
    )


def _wrong_verdict(lines: Sequence[Line], truth: GroundTruth) -> bool | None:
    last = next((line.verdict for line in reversed(lines) if line.phase in _IN_MEMORY), None)
    if truth.completed_by_itself:
        return last == Verdict.NOT_CONVERGING
    if not truth.completed and truth.plateau is not None:
        return last == Verdict.CONVERGING
    return None


def _flips(lines: Sequence[Line]) -> int:
    verdicts = [Verdict(line.verdict) for line in lines if line.verdict is not None]
    return sum(a is not b and _RANK[b] <= _RANK[a] for a, b in itertools.pairwise(verdicts))


def _called_at(lines: Sequence[Line], truth: GroundTruth) -> float | None:
    plateau = truth.plateau
    if plateau is None:
        return None
    return next(
        (
            line.t
            for line in lines
            if plateau.start <= line.t < plateau.until and line.verdict == Verdict.NOT_CONVERGING
        ),
        None,
    )


def figures(scores: Sequence[Score]) -> Figures:
    """Return the figures of some recordings together; None where there is nothing to measure."""
    late = _all(score.eta_errors_late for score in scores)
    without_eta = sum(score.without_eta for score in scores)
    little = [score for score in scores if score.dirties_little]
    judged = [score.wrong_verdict for score in scores if score.wrong_verdict is not None]
    reports: collections.Counter[str] = collections.Counter()
    for score in scores:
        reports.update(score.reports)
    return {
        "recordings": len(scores),
        "samples": sum(score.samples for score in scores),
        "percent_back": sum(score.percent_back for score in scores),
        "percent_above_99": sum(score.percent_above_99 for score in scores),
        "percent_lost": sum(score.percent_lost for score in scores),
        "percent_distance": _mean(_all(score.percent_distances for score in scores)),
        "displayed_distance": _mean(_all(score.displayed_distances for score in scores)),
        "nova_distance": _mean(_all(score.nova_distances for score in scores)),
        "eta_error_median": quantile(late, 0.5),
        "eta_error_p90": quantile(late, 0.9),
        "without_eta": _share(without_eta, without_eta + len(late)),
        "early_eta_error_median": quantile(_all(s.eta_errors_early for s in scores), 0.5),
        "early_eta_error_median_little": quantile(_all(s.eta_errors_early for s in little), 0.5),
        "in_range": _mean(_all(score.in_range for score in scores)),
        "verdicts_judged": len(judged),
        "verdicts_wrong": sum(judged),
        "flips": sum(score.flips for score in scores),
        "flips_beyond_max": max((score.flips_beyond for score in scores), default=0),
        "called_after_seconds_max": _max(score.called_after_seconds for score in scores),
        "called_after_iterations_max": _max(score.called_after_iterations for score in scores),
        "not_called": sum(score.not_called for score in scores),
        "reports": dict(sorted(reports.items())),
    }


def _all(parts: Iterable[Sequence[_T]]) -> list[_T]:
    return list(itertools.chain.from_iterable(parts))


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _max(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None

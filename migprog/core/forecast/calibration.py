# SPDX-License-Identifier: Apache-2.0
"""Compare our own forecasts with the end of a migration, once it has completed.

While a migration runs, its forecasts are sampled, at longer intervals as it lasts longer. Once it
has completed, the forecasts at 25, 50 and 75 % of its real duration are compared with its end.
"""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from migprog.core.forecast.estimate import Estimate

PERCENTS = (25, 50, 75)
# The most samples that are held; when there are so many, about half of them are dropped.
MAX_SAMPLES = 128
_FIRST_SPACING_SECONDS = 0.1
# An error of a second at the very end does not matter.
_LEAST_LEFT_SECONDS = 2.0


class ForecastSample(NamedTuple):
    """A forecast in force at ``at``; its time left counts from ``sampled_at``."""

    at: float
    sampled_at: float
    forecast: Estimate


class ForecastSamples(NamedTuple):
    """The forecast samples of one migration so far, in order of time.

    Two are at least ``spacing_seconds`` apart, and the next is taken from ``next_at`` on. The
    spacing is less than 1/60 of the time that they cover, or a tenth of a second. Before any
    instant, the newest sample is less than two spacings older than the newest forecast.
    """

    spacing_seconds: float = _FIRST_SPACING_SECONDS
    next_at: float = float("-inf")
    kept: tuple[ForecastSample, ...] = ()


@dataclass(frozen=True, slots=True)
class ForecastCheck:
    """What was forecast at ``at_percent`` of the real duration, and its error.

    ``error_seconds`` is the forecast end minus the real one: positive if the migration ended
    earlier. ``in_range``: the end was within the forecast range. None if there was no forecast
    then, or the migration did not complete.
    """

    at_percent: int
    eta_seconds: float | None = None
    error_seconds: float | None = None
    in_range: bool | None = None


def add_sample(
    samples: ForecastSamples, at: float, sampled_at: float, forecast: Estimate
) -> ForecastSamples:
    """Return the samples with a forecast that is in force from ``at`` on, if one is due.

    Calls come in order of time. ``sampled_at`` is the time of the sample that the forecast counts
    from. All in seconds of one clock.
    """
    if at < samples.next_at:
        return samples
    kept = (*samples.kept, ForecastSample(at, sampled_at, forecast))
    spacing = samples.spacing_seconds
    if len(kept) == MAX_SAMPLES:
        # By the time that they really cover: samples may have come at longer intervals.
        spacing = max(2 * spacing, 2 * (at - kept[0].at) / MAX_SAMPLES)
        kept = _thinned(kept, spacing)
    return ForecastSamples(spacing, kept[-1].at + spacing, kept)


def compare(
    samples: ForecastSamples, started_at: float, ended_at: float
) -> tuple[ForecastCheck, ...]:
    """Compare with the end of a migration that completed at ``ended_at``, at each of PERCENTS.

    Takes the newest sample at the instant or before. It forecasts the end as its own sample's time
    plus the time left, so that its age makes no difference.
    """
    return tuple(
        _check(percent, samples, started_at + (ended_at - started_at) * percent / 100, ended_at)
        for percent in PERCENTS
    )


def error_ratio(check: ForecastCheck, total_seconds: float) -> float | None:
    """Return the error as a share of the time that was really left then; None without forecast.

    Less than two seconds left count as two.
    """
    if check.error_seconds is None:
        return None
    left = total_seconds * (100 - check.at_percent) / 100
    return share_of_time_left(check.error_seconds, left)


def share_of_time_left(error_seconds: float, left_seconds: float) -> float:
    """Return the absolute value of an error as a share of the time that was left, of which less
    than two seconds count as two."""
    return abs(error_seconds) / max(_LEAST_LEFT_SECONDS, left_seconds)


def to_fields(checks: Iterable[ForecastCheck]) -> dict[str, Any]:
    """Return the checks as fields of a report or a record, by their names."""
    fields: dict[str, Any] = {}
    for check in checks:
        eta, error, in_range = _names(check.at_percent)
        fields |= {eta: check.eta_seconds, error: check.error_seconds, in_range: check.in_range}
    return fields


def from_fields(record: object) -> tuple[ForecastCheck, ...]:
    """Return what :func:`to_fields` made, from any object with attributes of these names."""
    return tuple(ForecastCheck(percent, *get(record)) for percent, get in _OF_PERCENT.items())


def _names(percent: int) -> tuple[str, str, str]:
    return (
        f"eta_at_{percent}_seconds",
        f"eta_error_at_{percent}_seconds",
        f"eta_in_range_at_{percent}",
    )


_OF_PERCENT = {percent: operator.attrgetter(*_names(percent)) for percent in PERCENTS}
FIELDS = tuple(name for percent in PERCENTS for name in _names(percent))


def _thinned(samples: tuple[ForecastSample, ...], spacing: float) -> tuple[ForecastSample, ...]:
    kept = [samples[0]]
    for each in samples:
        if each.at >= kept[-1].at + spacing:
            kept.append(each)
    return tuple(kept)


def _check(percent: int, samples: ForecastSamples, at: float, ended_at: float) -> ForecastCheck:
    taken = next((each for each in reversed(samples.kept) if each.at <= at), None)
    if taken is None:
        return ForecastCheck(percent)
    real = ended_at - taken.sampled_at
    eta, low, high = (
        taken.forecast.eta_seconds,
        taken.forecast.eta_low_seconds,
        taken.forecast.eta_high_seconds,
    )
    if eta is None or low is None or high is None:
        return ForecastCheck(percent)
    return ForecastCheck(percent, eta, eta - real, low <= real <= high)

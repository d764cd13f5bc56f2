# SPDX-License-Identifier: Apache-2.0
"""How good were our own forecasts? Told when a migration has completed, the only time that one can
know.

While it runs, its forecasts are noted, thinned out as it gets longer. Once it has completed, what
was forecast at 25, 50 and 75 % of the time that it really took is compared with its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from migprog.core.forecast.estimate import Estimate

PERCENTS = (25, 50, 75)
# As many as this are kept at most; when it is full, about half of them.
MAX_NOTES = 128
_FIRST_SPACING_SECONDS = 0.1
# Nobody minds a second more or less at the very end.
_LEAST_LEFT_SECONDS = 2.0


class ForecastSample(NamedTuple):
    """A forecast that was in force at ``at``; its time left counts from ``sampled_at``."""

    at: float
    sampled_at: float
    forecast: Estimate


class ForecastSamples(NamedTuple):
    """The forecasts of one migration so far, in the order of their time.

    Two are ``spacing_seconds`` apart at least, and the next is taken from ``next_at`` on. The
    spacing is less than 1/60 of the time that they cover, or else a tenth of a second. Of the
    forecasts up to any instant, the newest that is kept came less than two spacings before the
    newest that there was.
    """

    spacing_seconds: float = _FIRST_SPACING_SECONDS
    next_at: float = float("-inf")
    kept: tuple[ForecastSample, ...] = ()


@dataclass(frozen=True, slots=True)
class ForecastCheck:
    """What was forecast at ``at_percent`` of the real time, and how true it was.

    ``error_seconds`` is the end that was told minus the real one: positive, it ended earlier than
    told. ``in_range``: the end was within the range told. None: no time left was told then, or
    the migration did not complete.
    """

    at_percent: int
    eta_seconds: float | None = None
    error_seconds: float | None = None
    in_range: bool | None = None


def note(
    notes: ForecastSamples, at: float, sampled_at: float, forecast: Estimate
) -> ForecastSamples:
    """The notes after a forecast that is in force from ``at`` on. Calls come in order of time.

    ``sampled_at`` is the sample's time that it counts from. All in seconds of one clock.
    """
    if at < notes.next_at:
        return notes
    kept, spacing = (*notes.kept, ForecastSample(at, sampled_at, forecast)), notes.spacing_seconds
    if len(kept) == MAX_NOTES:
        # By the time that they really cover: samples may have come less often than the spacing.
        spacing = max(2 * spacing, 2 * (at - kept[0].at) / MAX_NOTES)
        kept = _thinned(kept, spacing)
    return ForecastSamples(spacing, kept[-1].at + spacing, kept)


def compare(
    notes: ForecastSamples, started_at: float, ended_at: float
) -> tuple[ForecastCheck, ...]:
    """Compare with the end of a migration that completed at ``ended_at``, at each of PERCENTS.

    Taken is the newest note at the instant or before. What it says of the end is its own sample's
    time and the time left from there, so that its age does no harm.
    """
    return tuple(
        _quarter(percent, notes, started_at + (ended_at - started_at) * percent / 100, ended_at)
        for percent in PERCENTS
    )


def error_ratio(quarter: ForecastCheck, total_seconds: float) -> float | None:
    """How far off it was, as a share of the time that was really left then; None if none was told.

    Less than two seconds that were left count as two.
    """
    if quarter.error_seconds is None:
        return None
    left = total_seconds * (100 - quarter.at_percent) / 100
    return abs(quarter.error_seconds) / max(_LEAST_LEFT_SECONDS, left)


def to_fields(quarters: Iterable[ForecastCheck]) -> dict[str, Any]:
    """As fields of a report or a record, by their names."""
    fields: dict[str, Any] = {}
    for quarter in quarters:
        eta, off, in_range = _names(quarter.at_percent)
        fields |= {eta: quarter.eta_seconds, off: quarter.error_seconds, in_range: quarter.in_range}
    return fields


def from_fields(record: object) -> tuple[ForecastCheck, ...]:
    """What :func:`to_fields` made, from anything that has attributes of these names."""
    return tuple(
        ForecastCheck(percent, *(getattr(record, name) for name in _names(percent)))
        for percent in PERCENTS
    )


def _names(percent: int) -> tuple[str, str, str]:
    return (
        f"eta_at_{percent}_seconds",
        f"eta_error_at_{percent}_seconds",
        f"eta_in_range_at_{percent}",
    )


FIELDS = tuple(name for percent in PERCENTS for name in _names(percent))


def _thinned(notes: tuple[ForecastSample, ...], spacing: float) -> tuple[ForecastSample, ...]:
    kept = [notes[0]]
    for each in notes:
        if each.at >= kept[-1].at + spacing:
            kept.append(each)
    return tuple(kept)


def _quarter(percent: int, notes: ForecastSamples, at: float, ended_at: float) -> ForecastCheck:
    taken = next((each for each in reversed(notes.kept) if each.at <= at), None)
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

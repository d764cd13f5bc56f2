# SPDX-License-Identifier: Apache-2.0
"""How good the forecasts of a migration's history were, measured by its end."""

import statistics
from typing import NamedTuple

from migprog.core.forecast import calibration
from migprog.core.post_mortem.facts import Facts
from migprog.core.post_mortem.timeline import Timeline
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import Status


class ForecastQuality(NamedTuple):
    """``forecasts`` of the history were compared with the end; the end was in the range of
    ``in_range`` of them. Errors are medians of absolute values, ``error_percent`` of the time that
    was left. ``first_after_seconds``: when the first was made, since the start.

    All but ``forecasts`` are None for a :class:`WhyNotKnown`.
    """

    forecasts: int = 0
    first_after_seconds: float | None = None
    error_seconds: float | None = None
    error_percent: float | None = None
    in_range: int | None = None
    reason: WhyNotKnown | None = None


class _Check(NamedTuple):
    error_seconds: float
    left_seconds: float
    in_range: bool


def forecast_quality(facts: Facts, line: Timeline) -> ForecastQuality:
    """Compare the forecasts of a migration that has completed with its end."""
    if facts.in_progress:
        return ForecastQuality(reason=WhyNotKnown.IN_PROGRESS)
    if facts.status is not Status.COMPLETED:
        return ForecastQuality(reason=WhyNotKnown.NOT_COMPLETED)
    checks: list[_Check] = []
    first = None
    for seen in line.seen:
        point = seen.point
        eta, low, high = point.eta_seconds, point.eta_low_seconds, point.eta_high_seconds
        if eta is None or low is None or high is None:
            continue
        left = line.seconds - seen.seconds
        checks.append(_Check(eta - left, left, low <= left <= high))
        first = seen.seconds if first is None else first
    if not checks:
        return ForecastQuality(reason=WhyNotKnown.NO_FORECAST)
    shares = (
        100 * calibration.share_of_time_left(check.error_seconds, check.left_seconds)
        for check in checks
    )
    return ForecastQuality(
        forecasts=len(checks),
        first_after_seconds=first,
        error_seconds=statistics.median(abs(check.error_seconds) for check in checks),
        error_percent=statistics.median(shares),
        in_range=sum(check.in_range for check in checks),
    )

# SPDX-License-Identifier: Apache-2.0
"""What is said of a migration at one instant, and how a report says it."""

import dataclasses
from typing import Any, NamedTuple

from migprog.core import schedule
from migprog.core.forecast import estimate, verdict
from migprog.core.forecast.job_sample import Sample
from migprog.core.report import DiskFigures, Report

_COUNTERS = tuple(
    each.name
    for each in dataclasses.fields(Report)
    if each.name in Sample._fields and each.name != "disks"
)


class Assessment(NamedTuple):
    """All that is said of a migration at one instant, but for its counters.

    ``forecast`` is as it is told.
    """

    telling: schedule.ReportSummary
    judgement: verdict.Judgement
    forecast: estimate.Estimate


def told(forecast: estimate.Estimate) -> estimate.Estimate:
    """To a tenth of a second: no forecast is better, and each digit is sent and stored."""
    return estimate.Estimate(
        _rounded(forecast.eta_seconds, 1),
        _rounded(forecast.eta_low_seconds, 1),
        _rounded(forecast.eta_high_seconds, 1),
    )


def fields(said: Assessment) -> dict[str, Any]:
    """The statement as a report's fields."""
    telling, judgement, forecast = said.telling, said.judgement, said.forecast
    return {
        "status": telling.status,
        "phase": telling.phase,
        "percent": telling.percent,
        "eta_seconds": forecast.eta_seconds,
        "eta_low_seconds": forecast.eta_low_seconds,
        "eta_high_seconds": forecast.eta_high_seconds,
        "verdict": judgement.verdict,
        "verdict_reason": judgement.reason,
        "verdict_message": judgement.message,
        "downtime_needed_seconds": _rounded(judgement.downtime_needed_seconds, 3),
        "bandwidth_needed_bytes_per_second": judgement.bandwidth_needed_bytes_per_second,
    }


def counters(latest: Sample) -> dict[str, Any]:
    """A sample's counters as a report's fields."""
    return {name: getattr(latest, name) for name in _COUNTERS}


def disks(latest: Sample | None) -> tuple[DiskFigures, ...] | None:
    """The copies of disks as they were last seen."""
    if latest is None or not latest.disks:
        return None
    return tuple((disk.name, disk.total_bytes, disk.processed_bytes) for disk in latest.disks)


def _rounded(seconds: float | None, digits: int) -> float | None:
    return None if seconds is None else round(seconds, digits)

# SPDX-License-Identifier: Apache-2.0
"""The assessment of a migration at one instant, and its fields in a report."""

import dataclasses
from typing import Any, NamedTuple

from migprog.core import schedule
from migprog.core.forecast import estimate, verdict
from migprog.core.forecast.job_sample import Sample
from migprog.core.messages import ONLY_IN_PROGRESS, DiskFigures, Report

_COUNTERS = tuple(
    each.name
    for each in dataclasses.fields(Report)
    if each.name in Sample._fields and each.name != "disks"
)
_LASTING_COUNTERS = tuple(name for name in _COUNTERS if name not in ONLY_IN_PROGRESS)


class Assessment(NamedTuple):
    """All that is known of a migration at one instant, except its counters.

    ``forecast`` is rounded as it is reported.
    """

    summary: schedule.ReportSummary
    judgement: verdict.Judgement
    forecast: estimate.Estimate


def rounded(forecast: estimate.Estimate) -> estimate.Estimate:
    """Round to a tenth of a second: no forecast is better, and each digit is sent and stored."""
    return estimate.Estimate(
        _rounded(forecast.eta_seconds, 1),
        _rounded(forecast.eta_low_seconds, 1),
        _rounded(forecast.eta_high_seconds, 1),
    )


def fields(assessed: Assessment) -> dict[str, Any]:
    """Return the assessment as a report's fields."""
    summary, judgement, forecast = assessed.summary, assessed.judgement, assessed.forecast
    return {
        "status": summary.status,
        "phase": summary.phase,
        "percent": summary.percent,
        "eta_seconds": forecast.eta_seconds,
        "eta_low_seconds": forecast.eta_low_seconds,
        "eta_high_seconds": forecast.eta_high_seconds,
        "verdict": judgement.verdict,
        "verdict_reason": judgement.reason,
        "verdict_message": judgement.message,
        "downtime_needed_seconds": _rounded(judgement.downtime_needed_seconds, 3),
        "bandwidth_needed_bytes_per_second": judgement.bandwidth_needed_bytes_per_second,
    }


def counters(latest: Sample, has_ended: bool) -> dict[str, Any]:
    """Return the counters of a migration's latest sample as a report's fields.

    Where libvirt has not given the final ones of an end, those of the sample before it remain.
    """
    names = _LASTING_COUNTERS if has_ended else _COUNTERS
    return {name: getattr(latest, name) for name in names}


def disks(latest: Sample | None) -> tuple[DiskFigures, ...] | None:
    """Return the copies of disks as they were last seen."""
    if latest is None or not latest.disks:
        return None
    return tuple((disk.name, disk.total_bytes, disk.processed_bytes) for disk in latest.disks)


def _rounded(seconds: float | None, digits: int) -> float | None:
    return None if seconds is None else round(seconds, digits)

# SPDX-License-Identifier: Apache-2.0
"""Metrics of the reports that a conductor stores."""

import enum
from collections.abc import Callable, Iterable

from prometheus_client import Counter, Gauge, Histogram

from migprog.core.entry_refusal import RefusalReason
from migprog.core.forecast import before_check, calibration
from migprog.core.forecast.before_check import BeforeCheck
from migprog.core.forecast.calibration import ForecastCheck
from migprog.core.messages import Report
from migprog.core.status import Status
from migprog.metrics import REGISTRY, ended

_IN_RANGE_LABELS = ("yes", "no", "none")

_REPORTS = Counter(
    "migprog_reports_stored",
    "Reports of migrations that changed a record.",
    registry=REGISTRY,
)
_TRANSACTIONS = Histogram(
    "migprog_db_transaction_duration_seconds",
    "Duration of the database transactions that stored reports.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
_BATCHES = Counter(
    "migprog_batches_stored",
    "Batches of reports, one for each host and message, that were stored; under load several in "
    "one transaction.",
    registry=REGISTRY,
)
_STATEMENTS = Counter(
    "migprog_db_statements",
    "SQL statements of the transactions that stored reports.",
    registry=REGISTRY,
)
_ROWS = Counter(
    "migprog_db_rows_written",
    "Rows that the transactions that stored reports inserted or updated.",
    registry=REGISTRY,
)
_OLDEST_UNSTORED = Gauge(
    "migprog_oldest_unstored_report_age_seconds",
    "Time for which the oldest report has waited in the conductor to be stored; 0 if none waits.",
    registry=REGISTRY,
)
_SUPERSEDED = Counter(
    "migprog_reports_superseded",
    "Reports of progress that a newer report replaced before they were stored.",
    registry=REGISTRY,
)
_OVERFLOWED = Counter(
    "migprog_reports_overflowed",
    "Reports of progress that were dropped because too many waited to be stored.",
    registry=REGISTRY,
)
# One absurd forecast must not dominate the histogram's sum for the life of the process.
_MOST_ERROR_RATIO = 100.0
_ERROR = Histogram(
    "migprog_forecast_error_ratio",
    "Error of the forecasts of completed migrations as a share of the time that was really left, "
    "by the percentage of the migration's time that had passed.",
    ["at"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1, 2, 5),
    registry=REGISTRY,
)
_IN_RANGE = Counter(
    "migprog_forecast_in_range",
    "Completed migrations, by whether they ended within the forecast range (none: there was no "
    "forecast) and by the percentage of the migration's time that had passed.",
    ["at", "in_range"],
    registry=REGISTRY,
)
_BEFORE_ERROR = Histogram(
    "migprog_forecast_before_error_ratio",
    "Error of what the newest measurement let expect before the start of completed migrations, as "
    "a share of the time that they took.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1, 2, 5),
    registry=REGISTRY,
)
_BEFORE_OUTCOMES = Counter(
    "migprog_forecast_before_outcomes",
    "Migrations of measured servers that have ended, by what became of the forecast from before "
    "their start.",
    ["outcome"],
    registry=REGISTRY,
)
_DROPPED = Counter(
    "migprog_values_dropped",
    "Optional values of reports, arrivals and agents that broke their rules or are unknown words "
    "of a later version, and were not stored.",
    registry=REGISTRY,
)
_REFUSED = Counter(
    "migprog_entries_refused",
    "Reports, arrivals and whole batches that were refused, by reason.",
    ["reason"],
    registry=REGISTRY,
)


class NovaIdLookup(enum.StrEnum):
    """Outcomes of the lookup of a migration's id in Nova."""

    NAMED = "named"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"
    DROPPED = "dropped"
    PURGED = "purged"


_LOOKUPS = Counter(
    "migprog_nova_id_lookups",
    "Lookups of migrations in Nova that have finished, by outcome; 0 if [nova] is not configured.",
    ["outcome"],
    registry=REGISTRY,
)

# increase() misses the first count of a series that appears only with it.
for _reason in RefusalReason:
    _REFUSED.labels(_reason.value)
for _outcome in NovaIdLookup:
    _LOOKUPS.labels(_outcome.value)
for _before in before_check.Outcome:
    _BEFORE_OUTCOMES.labels(_before.value)
for _percent in calibration.PERCENTS:
    _ERROR.labels(str(_percent))
    for _label in _IN_RANGE_LABELS:
        _IN_RANGE.labels(str(_percent), _label)


def forecast_before(check: BeforeCheck, total_seconds: float | None) -> None:
    """Record what became of a forecast from before a migration's start."""
    _BEFORE_OUTCOMES.labels(check.outcome.value).inc()
    error_seconds = check.error_seconds(total_seconds)
    if error_seconds is not None and total_seconds:
        _BEFORE_ERROR.observe(min(_MOST_ERROR_RATIO, abs(error_seconds) / total_seconds))


def transaction(batches: int, seconds: float, statements: int, rows: int) -> None:
    """Count a transaction that stored batches."""
    _TRANSACTIONS.observe(seconds)
    _BATCHES.inc(batches)
    _STATEMENTS.inc(statements)
    _ROWS.inc(rows)


def oldest_unstored(age_seconds: Callable[[], float]) -> None:
    """Show for how long the oldest report has waited, by ``age_seconds`` at each scrape."""
    _OLDEST_UNSTORED.set_function(age_seconds)


def nova_id_lookup(outcome: NovaIdLookup) -> None:
    """Count a migration whose lookup in Nova has finished."""
    _LOOKUPS.labels(outcome.value).inc()


def superseded() -> None:
    """Count a report that a newer one replaced before it was stored."""
    _SUPERSEDED.inc()


def overflowed() -> None:
    """Count a report of progress that was dropped because too many waited to be stored."""
    _OVERFLOWED.inc()


def dropped(values: int) -> None:
    """Count optional values that were dropped."""
    _DROPPED.inc(values)


def refused(reasons: Iterable[RefusalReason]) -> None:
    """Count entries that were not stored."""
    for reason in reasons:
        _REFUSED.labels(reason.value).inc()


def stored(reports: int, ends: Iterable[Report]) -> None:
    """Count reports that changed the database, and the first report of each migration's end."""
    _REPORTS.inc(reports)
    for end in ends:
        ended.observe(end)
        if end.status is Status.COMPLETED:
            for check in calibration.from_fields(end):
                _forecast(check, end.total_seconds)


def _forecast(check: ForecastCheck, total_seconds: float | None) -> None:
    at = str(check.at_percent)
    _IN_RANGE.labels(at, _in_range_label(check)).inc()
    if total_seconds is not None:
        ratio = calibration.error_ratio(check, total_seconds)
        if ratio is not None:
            _ERROR.labels(at).observe(min(ratio, _MOST_ERROR_RATIO))


def _in_range_label(check: ForecastCheck) -> str:
    if check.in_range is None:
        return "none"
    return "yes" if check.in_range else "no"

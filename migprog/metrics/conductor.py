# SPDX-License-Identifier: Apache-2.0
"""What a conductor counts of the reports that it stores."""

import enum
from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from migprog.core.forecast import calibration
from migprog.core.forecast.calibration import ForecastCheck
from migprog.core.refusal import Why
from migprog.core.report import Report
from migprog.core.status import Status
from migprog.metrics import REGISTRY, ended

_HELD = ("yes", "no", "none")

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
    "Batches of reports, one per host and message, that were stored; under load several in a "
    "transaction.",
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
# One absurd forecast must not drown the sum of all the others for as long as this process lives.
_MOST_ERROR_RATIO = 100.0
_ERROR = Histogram(
    "migprog_forecast_error_ratio",
    "Error of the forecast of completed migrations, as a share of the time that was really left, "
    "when so many percent of the time had passed.",
    ["at"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1, 2, 5),
    registry=REGISTRY,
)
_IN_RANGE = Counter(
    "migprog_forecast_in_range",
    "Completed migrations, by whether they ended within the range that was forecast when so many "
    "percent of the time had passed; none: there was no forecast.",
    ["at", "held"],
    registry=REGISTRY,
)
_DROPPED = Counter(
    "migprog_values_dropped",
    "Optional values of reports, arrivals and agents that broke their rules or are words of a "
    "later version, and were not stored.",
    registry=REGISTRY,
)
_REFUSED = Counter(
    "migprog_entries_refused",
    "Reports, arrivals and whole batches that were refused, by reason.",
    ["why"],
    registry=REGISTRY,
)


class NovaIdLookup(enum.StrEnum):
    """How the lookup of a migration's id in Nova ended."""

    NAMED = "named"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    FAILED = "failed"
    DROPPED = "dropped"
    PURGED = "purged"


_LOOKUPS = Counter(
    "migprog_nova_id_lookups",
    "Migrations that were looked up in Nova, by outcome; none where [nova] is not configured.",
    ["outcome"],
    registry=REGISTRY,
)

# A series that appears only with its first count hides that count from increase().
for _why in Why:
    _REFUSED.labels(_why.value)
for _outcome in NovaIdLookup:
    _LOOKUPS.labels(_outcome.value)
for _percent in calibration.PERCENTS:
    _ERROR.labels(str(_percent))
    for _held in _HELD:
        _IN_RANGE.labels(str(_percent), _held)


def transaction(batches: int, seconds: float, statements: int, rows: int) -> None:
    """Count a transaction that stored batches."""
    _TRANSACTIONS.observe(seconds)
    _BATCHES.inc(batches)
    _STATEMENTS.inc(statements)
    _ROWS.inc(rows)


def nova_id_lookup(outcome: NovaIdLookup) -> None:
    """Count a migration that is not looked up any more."""
    _LOOKUPS.labels(outcome.value).inc()


def superseded() -> None:
    """Count a report that was never stored because a newer one came in before."""
    _SUPERSEDED.inc()


def overflowed() -> None:
    """Count a report of progress that is dropped because too many wait to be stored."""
    _OVERFLOWED.inc()


def dropped(values: int) -> None:
    """Count optional values that were dropped."""
    _DROPPED.inc(values)


def refused(whys: Iterable[Why]) -> None:
    """Count entries that were not stored."""
    for why in whys:
        _REFUSED.labels(why.value).inc()


def stored(reports: int, ends: Iterable[Report]) -> None:
    """Count reports that changed the store, and the first one of each migration's end."""
    _REPORTS.inc(reports)
    for end in ends:
        ended.observe(end)
        if end.status is Status.COMPLETED:
            for quarter in calibration.from_fields(end):
                _forecast(quarter, end.total_seconds)


def _forecast(quarter: ForecastCheck, total_seconds: float | None) -> None:
    at = str(quarter.at_percent)
    _IN_RANGE.labels(at, _held_word(quarter)).inc()
    if total_seconds is not None:
        ratio = calibration.error_ratio(quarter, total_seconds)
        if ratio is not None:
            _ERROR.labels(at).observe(min(ratio, _MOST_ERROR_RATIO))


def _held_word(quarter: ForecastCheck) -> str:
    if quarter.in_range is None:
        return "none"
    return "yes" if quarter.in_range else "no"

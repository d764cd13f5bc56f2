# SPDX-License-Identifier: Apache-2.0
"""What would have been said before a recorded migration began, by the row of its recording that has
what was measured, and learned, until then."""

from collections.abc import Mapping, Sequence
from typing import Any

from migprog.core.forecast.before import Before, forecast_before
from migprog.core.learned import Learned, Rate, learn
from migprog.core.measurement import Measurement, Window, windows
from migprog.recording.format import NotARecording, Recording, is_number

_SOURCES = ("pair", "source", "overall", "default")


def forecast(recording: Recording) -> Before | None:
    """Return what would have been said when the migration began; None without a measurement.

    Raises :class:`~migprog.recording.format.NotARecording` for one that cannot be read.
    """
    row = recording.measurement
    if row is None:
        return None
    try:
        measurement, learned = _measurement(row), _learned(row.get("learned"))
    except ValueError as error:
        raise NotARecording(f"{recording.name}: measurement: {error}") from None
    block_migration = row.get("block_migration") is True
    if "block_migration" not in row:
        block_migration = _copies_disks(recording)
    return forecast_before(measurement, learned, block_migration=block_migration, now=0.0)


def _copies_disks(recording: Recording) -> bool:
    """Return whether disks were copied, as the counters of the migration show it."""
    samples = (row.get("stats") or {} for row in recording.rows if row["kind"] == "sample")
    return any(stats.get("disk_total") for stats in samples)


def compared(before: Before, real_seconds: float | None) -> dict[str, Any]:
    """Return a forecast as plain values, with the real time, and the error as a share of it (None:
    it did not complete)."""
    said, low, high = before.total_seconds, before.low_seconds, before.high_seconds
    known = real_seconds is not None
    error = said / real_seconds - 1 if said is not None and real_seconds else None
    return {
        "converges": before.converges,
        "total_seconds": said,
        "low_seconds": low,
        "high_seconds": high,
        "downtime_needed_seconds": before.downtime_needed_seconds,
        "bandwidth_needed_bytes_per_second": before.bandwidth_needed_bytes_per_second,
        "helps": list(before.helps),
        "message": before.message,
        "real_seconds": real_seconds,
        "error": error,
        "in_range": low <= (real_seconds or 0.0) <= high
        if known and low is not None and high is not None
        else None,
    }


def _measurement(row: Mapping[str, Any]) -> Measurement:
    """Read the row. Raises :class:`ValueError`."""
    return Measurement(
        measured_at=_any_number(row, "t"),
        windows=_windows(row.get("windows")),
        memory_bytes=int(_number(row, "memory_bytes", least=1)),
        resident_bytes=_count(row, "resident_bytes"),
        disk_bytes=_count(row, "disk_bytes"),
        downtime_limit_seconds=_optional(row, "downtime_limit_seconds"),
        has_host_devices=row.get("has_host_devices") is True,
    )


def _windows(value: Any) -> tuple[Window, ...]:
    try:
        return tuple(Window(*each) for each in windows(value))
    except ValueError as error:
        raise ValueError(f"windows: {error}") from None


def _learned(value: Any) -> Learned:
    """Return what was learned; without it, what is guessed where nothing is known."""
    if value is None:
        return learn((), "", None, 0.0)
    if not isinstance(value, dict):
        raise ValueError("learned: must be a JSON object")
    source = value.get("source")
    rate = Rate(
        bytes_per_second=_number(value, "bytes_per_second", least=1),
        spread=_number(value, "spread"),
        count=int(_number(value, "count")),
        source=_one_of(source, _SOURCES),
        newest_at=None if value.get("newest_t") is None else _any_number(value, "newest_t"),
    )
    return Learned(
        rate, _number(value, "overhead_seconds"), _number(value, "overhead_spread_seconds")
    )


def _one_of(value: Any, words: Sequence[str]) -> str:
    if value not in words:
        raise ValueError(f"source: must be one of {', '.join(words)}")
    return str(value)


def _any_number(row: Mapping[str, Any], key: str) -> float:
    value: Any = row.get(key)
    if not is_number(value):
        raise ValueError(f"{key}: must be a number")
    return float(value)


def _number(row: Mapping[str, Any], key: str, least: float = 0.0) -> float:
    value = _any_number(row, key)
    if value < least:
        raise ValueError(f"{key}: must be at least {least:g}")
    return value


def _optional(row: Mapping[str, Any], key: str) -> float | None:
    return None if row.get(key) is None else _number(row, key)


def _count(row: Mapping[str, Any], key: str) -> int | None:
    value = _optional(row, key)
    return None if value is None else int(value)

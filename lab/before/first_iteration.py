# SPDX-License-Identifier: Apache-2.0
"""The forecast of the first iteration, with and without what the conductor says of the server.

The recordings of the corpus are replayed. What QEMU would have measured of their guests is computed
as for :mod:`lab.before.corpus_forecasts`. All looks before the second iteration count, of each
recording that completed by itself.
"""

import dataclasses
import random
import statistics
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lab.before import corpus_forecasts, table
from lab.corpus import files
from migprog.core.forecast.calibration import share_of_time_left
from migprog.core.forecast.expectation import Expectation
from migprog.core.forecast.expectation_making import expectation, windows_of
from migprog.core.forecast.first_iteration import QEMU_BYTES
from migprog.core.measurement import Measurement
from migprog.core.schedule import Rules
from migprog.recording import format as recordings
from migprog.recording.ground_truth import truth
from migprog.recording.replay import replay

_RULES = Rules(report_interval_seconds=1.0, heartbeat_interval_seconds=30.0)
_MIB, _QEMU_SHARE = 2**20, 1 / 8
# What the agent knows before: nothing; the rate alone; that and the curve of the last migration, as
# which the recording itself is taken, or what was measured.
KNOWN = ("nothing", "the rate", "rate and last", "rate and curves")


class Look(NamedTuple):
    """At one look, shares of the time that was left: the error, the width of the range."""

    error: float | None
    width: float | None
    in_range: bool | None


def figures(rng: random.Random, times: int) -> dict[str, Any]:
    """Return the figures of all recordings, each so many times, by what is known."""
    looks: dict[str, list[list[Look]]] = {known: [] for known in KNOWN}
    for folder in files.HALVES:
        for path in files.recordings(folder).values():
            for known, found in _of(rng, recordings.read(str(path)), times):
                looks[known].append(found)
    return {known: _figures(found) for known, found in looks.items()}


def text(known: Mapping[str, Any]) -> str:
    """Return them as lines."""
    return "\n".join(
        f"{name:16}  "
        + "  ".join(f"{key} {'-' if value is None else value}" for key, value in each.items())
        for name, each in known.items()
    )


def _of(
    rng: random.Random, recording: recordings.Recording, times: int
) -> Iterator[tuple[str, list[Look]]]:
    real = truth(recording)
    if real is None or not real.completed_by_itself:
        return
    header = dict(recording.header)
    # Agents read it; most of the recordings are older than that. What QEMU itself has is a larger
    # share of these small guests than the forecast takes off.
    qemu_mib = min(QEMU_BYTES / _MIB, _QEMU_SHARE * header["mem_mib"])
    header.setdefault("resident_mib", header["fill_mib"] + qemu_mib)
    recording = dataclasses.replace(recording, header=header)
    for _ in range(times):
        drawn = corpus_forecasts.drawn_of(header)
        measurement, learned = corpus_forecasts.known_before(rng, header, drawn)
        measured = expectation(measurement, learned, 0.0)
        last = expectation(_shown(recording, measurement), learned, 0.0)
        alone = measured._replace(curves=())
        for known, what in zip(KNOWN, (None, alone, last, measured), strict=True):
            yield known, _looks(recording, what, real.end, real.second_iteration_start)


def _shown(recording: recordings.Recording, measured: Measurement) -> Measurement | None:
    """Return what a migration that has ended shows of its guest; None if it shows nothing."""
    reports = [each.report for each in replay(recording, _RULES).reports]
    windows = windows_of(
        (each.iteration_start_remaining_bytes, each.dirty_bytes_per_second)
        for each in reports
        if not each.cpu_throttle_percent
    )
    return dataclasses.replace(measured, windows=windows) if windows else None


def _looks(
    recording: recordings.Recording, known: Expectation | None, end: float, until: float
) -> list[Look]:
    lines = replay(recording, _RULES, expectation=known).lines
    return [
        _look(end - each.t, each.eta_seconds, each.eta_low_seconds, each.eta_high_seconds)
        for each in lines
        if each.t < until
    ]


def _look(left: float, eta: float | None, low: float | None, high: float | None) -> Look:
    if eta is None or low is None or high is None:
        return Look(None, None, None)
    return Look(share_of_time_left(eta - left, left), (high - low) / left, low <= left <= high)


def _figures(by_recording: list[list[Look]]) -> dict[str, Any]:
    """Each recording counts once, by its own median."""
    known = [[each for each in looks if each.error is not None] for looks in by_recording]
    each = [looks for looks in known if looks]
    errors = [statistics.median(look.error or 0.0 for look in looks) for looks in each]
    widths = [statistics.median(look.width or 0.0 for look in looks) for looks in each]
    held = [statistics.mean(bool(look.in_range) for look in looks) for looks in each]
    looks = sum(map(len, by_recording))
    return {
        "recordings": len(each),
        "with_forecast": round(sum(map(len, known)) / looks, 3) if looks else None,
        "error_median": _rounded(table.quantile(errors, 0.5)),
        "error_p90": _rounded(table.quantile(errors, 0.9)),
        "width_median": _rounded(table.quantile(widths, 0.5)),
        "coverage": _rounded(statistics.mean(held)) if held else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

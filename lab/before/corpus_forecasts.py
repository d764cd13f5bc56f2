# SPDX-License-Identifier: Apache-2.0
"""The recordings of the corpus, forecast from what QEMU would have measured of their guests.

The guests' writing is known by the recordings' headers, so that each can be measured many times,
with other samples of its memory. What happened is the recording's. No guest runs.
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.before import sampled
from lab.before.bench import Tried
from lab.before.guests import Drawn
from lab.before.trial import Seen
from lab.corpus import files
from migprog.core.forecast.before import forecast_before
from migprog.core.learned import Completed, Learned, learn
from migprog.core.measurement import Measurement
from migprog.recording import format as recordings

# An abort that comes sooner after the first iteration does not show that it would not have ended.
_LATE_SECONDS = 20.0
_MIB = 2**20
# QEMU sends a header with each page.
_PAGE, _PAGE_ON_WIRE = 4096, 4104
# What migrations of the lab took beside the transfer.
_OVERHEADS_SECONDS = (0.3, 0.4, 0.6)
_ACTIONS = {"abort"}


def try_all(rng: random.Random, times: int) -> list[Tried]:
    """Forecast each recording that can be, so many times."""
    found = []
    for folder in files.HALVES:
        for path in files.recordings(folder).values():
            header, seen = _of(path)
            if seen is not None:
                found += [_try(rng, header, seen) for _ in range(times)]
    return found


def _of(path: Path) -> tuple[Mapping[str, Any], Seen | None]:
    """Return a recording's header, and what happened; None where somebody took part in it."""
    recording = recordings.read(str(path))
    header, end = recording.header, recording.rows[-1]
    actions = {action for _, action, _ in header.get("actions", ())}
    if actions - _ACTIONS or header.get("together") or header.get("cancelled_after_s"):
        return header, None
    completed = end["outcome"] == "completed"
    starts = list(_iterations(recording))
    first = starts[0] if starts else None
    if not completed and (first is None or end["t"] - first < _LATE_SECONDS):
        return header, None
    if not completed and header.get("auto_converge"):
        # It might have ended later.
        return header, None
    stats = end.get("completed_stats", {}).get("dest", {}) if completed else {}
    total = stats["time_elapsed"] / 1000 if "time_elapsed" in stats else end["t"]
    return header, Seen(completed, total, None, None, first, len(starts) + 1, None)


def _iterations(recording: recordings.Recording) -> Iterator[float]:
    for row in recording.rows:
        if row["kind"] == "event" and row.get("event") == "iteration" and row["iteration"] > 1:
            yield row["t"]


def drawn_of(header: Mapping[str, Any]) -> Drawn:
    """Return the guest of a recording."""
    segments = tuple((milliseconds, pace) for milliseconds, pace in header["segments"])
    return Drawn(
        kind=header["physics"],
        bandwidth_mib_s=header["bandwidth_mib_s"],
        fill_mib=header["fill_mib"],
        working_set_mib=header["ws_mib"],
        segments=segments,
        is_steady=len(segments) == 1 and not header.get("auto_converge"),
        disk_mib=header.get("disk_mib", 0),
        downtime_ms=header.get("downtime_ms"),
        auto_converge=bool(header.get("auto_converge")),
    )


def known_before(
    rng: random.Random, header: Mapping[str, Any], drawn: Drawn
) -> tuple[Measurement, Learned]:
    """Return what QEMU would have measured of it, and what other migrations would have shown."""
    measurement = sampled.measurement(
        rng,
        memory_mib=header["mem_mib"],
        fill_mib=drawn.fill_mib,
        working_set_mib=drawn.working_set_mib,
        segments=drawn.segments,
        disk_mib=drawn.disk_mib,
        downtime_limit_seconds=(drawn.downtime_ms or 300) / 1000,
    )
    rate = drawn.bandwidth_mib_s * _MIB * _PAGE / _PAGE_ON_WIRE
    now = measurement.measured_at
    rows = [
        Completed("a", "b", now - 100 * number, rate * rng.uniform(0.99, 1.01), 5.0, overhead)
        for number, overhead in enumerate(_OVERHEADS_SECONDS, 1)
    ]
    return measurement, learn(rows, "a", "b", now)


def _try(rng: random.Random, header: Mapping[str, Any], seen: Seen) -> Tried:
    drawn = drawn_of(header)
    measurement, learned = known_before(rng, header, drawn)
    before = forecast_before(
        measurement,
        learned,
        block_migration=bool(drawn.disk_mib),
        now=measurement.measured_at,
        auto_converge=drawn.auto_converge,
    )
    return Tried(drawn, measurement, before, learned.rate.bytes_per_second, seen)

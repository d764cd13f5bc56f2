# SPDX-License-Identifier: Apache-2.0
"""The percentage that a user sees: migprog's, and Nova's progress of the same migration.

A user sees what was reported last, and 0 before the first percentage. So the age of a percentage is
a part of its error.
"""

import bisect
from collections.abc import Sequence

from migprog.recording.format import Recording
from migprog.recording.replay import Sent

# A user looks so often.
READ_SECONDS = 0.2
# nova-compute reads its job at this interval for the progress of the server
# (nova/virt/libvirt/driver.py: each tenth turn of a loop with a pause of 0.5 s).
_NOVA_SECONDS = 5.0


def reported(sent: Sequence[Sent], end: float) -> list[int]:
    """Return the percentage that is displayed at each look before ``end``, by the reports that
    were sent."""
    return _steps([each.t for each in sent], [each.report.percent or 0 for each in sent], end)


def novas_progress(recording: Recording, end: float) -> list[int]:
    """Return Nova's progress at each look before ``end``: the share of the memory that does not
    remain, and 0 until memory is copied."""
    times: list[float] = []
    values: list[int] = []
    for row in recording.rows:
        stats = row.get("stats")
        if row["kind"] != "sample" or not stats:
            continue
        total, remaining = stats.get("memory_total") or 0, stats.get("memory_remaining") or 0
        times.append(row["t"])
        values.append(100 - round(100 * remaining / total) if total else 0)
    looks = [_NOVA_SECONDS * number for number in range(int(end / _NOVA_SECONDS) + 1)]
    return _steps(looks, [_at(times, values, look) for look in looks], end)


def distances(displayed: Sequence[int], end: float) -> tuple[float, ...]:
    """Return at each look the points between the displayed percentage and the share of the time
    until ``end`` that has passed."""
    return tuple(
        abs(percent - 100 * number * READ_SECONDS / end) for number, percent in enumerate(displayed)
    )


def _steps(times: Sequence[float], values: Sequence[int], end: float) -> list[int]:
    looks = int(end / READ_SECONDS) + 1
    return [_at(times, values, number * READ_SECONDS) for number in range(looks)]


def _at(times: Sequence[float], values: Sequence[int], t: float) -> int:
    index = bisect.bisect_right(times, t) - 1
    return values[index] if index >= 0 else 0

# SPDX-License-Identifier: Apache-2.0
"""The ground truth of a recording, known in hindsight: the real end, and what really happened.

None of this is known while a migration runs; forecasts are measured by it.
"""

import enum
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from migprog.core.forecast.dirty_rate import plateau_start
from migprog.core.libvirt_abi import STOPPED_MIGRATED, SUSPENDED_POSTCOPY
from migprog.recording.format import Recording, Row

# Of the iteration starts after that of a plateau, so many must exist and have this share of what it
# had.
_FOLLOWING = 2
_LEVEL = 0.96
_LITTLE = 0.1


class Group(enum.StrEnum):
    """What a migration has in common with those that it is measured together with.

    ``steady``: its guest dirties at one known rate, and there was no intervention. ``changing``:
    its guest's rate changes or is not known, auto-converge was active, or there was an
    intervention. ``aborted``: it did not complete.
    """

    STEADY = "steady"
    CHANGING = "changing"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class TrueIterationStart:
    """The start of an iteration, in seconds from the migration's start, and what it must send."""

    t: float
    remaining_bytes: float


@dataclass(frozen=True, slots=True)
class Plateau:
    """From ``start`` to ``until`` no iteration had notably less to send than at the start.

    ``until`` is when an action or an abort ended it.
    """

    start: float
    until: float


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The facts of a recording; seconds since the migration's start.

    ``iteration_starts`` are those after the first iteration's, which says nothing of the guest.
    ``interventions`` are the times of actions on the migration. ``changes`` counts those and the
    changes of the guest's dirty rate, up to the end. ``dirties_little``: steady, and its first
    iteration left no more than a tenth of its memory.
    """

    end: float
    completed: bool
    group: Group
    iteration_starts: tuple[TrueIterationStart, ...]
    interventions: tuple[float, ...]
    changes: int
    dirties_little: bool
    plateau: Plateau | None

    @property
    def second_iteration_start(self) -> float:
        """The start of the second iteration, or the end if there was none."""
        return self.iteration_starts[0].t if self.iteration_starts else self.end

    @property
    def completed_by_itself(self) -> bool:
        """Whether it completed without intervention."""
        return self.completed and not self.interventions

    @property
    def settled_at(self) -> float:
        """The time of the last intervention, after which its end could be known."""
        return self.interventions[-1] if self.interventions else 0.0


def truth(recording: Recording) -> GroundTruth | None:
    """Return what really happened; None if the recording does not show how it ended.

    The end is libvirt's event that the server was stopped at its source, or else the ``end`` row.
    """
    end = next(
        (row["t"] for row in recording.rows if _is(row, STOPPED_MIGRATED)),
        None,
    )
    completed = end is not None
    if end is None:
        row = next((row for row in recording.rows if row["kind"] == "end"), None)
        if row is None or row.get("outcome") not in ("completed", "failed"):
            return None
        end, completed = row["t"], row["outcome"] == "completed"
    interventions = tuple(t for t in _interventions(recording.rows) if t < end)
    iteration_starts = tuple(b for b in _iteration_starts(recording.rows) if b.t < end)
    changes_of_rate = _changes_of_rate(recording, end)
    changing = changes_of_rate != 0 or bool(interventions) or _throttled(recording.rows)
    group = Group.ABORTED if not completed else Group.CHANGING if changing else Group.STEADY
    stops = _stops(recording.rows, interventions, None if completed else end)
    return GroundTruth(
        end=end,
        completed=completed,
        group=group,
        iteration_starts=iteration_starts,
        interventions=interventions,
        changes=len(interventions) + (changes_of_rate or 0),
        dirties_little=group is Group.STEADY and _dirties_little(recording, iteration_starts),
        plateau=_plateau(iteration_starts, stops),
    )


def _is(row: Row, kind: tuple[int, int]) -> bool:
    """Return whether a row is a lifecycle event of this kind."""
    return row.get("event") == "lifecycle" and (row["code"], row["detail"]) == kind


def _interventions(rows: Sequence[Row]) -> Iterator[float]:
    """Yield the times of interventions, as recorded or as far as the agent could see them."""
    limit_ms, recorded = None, any(row["kind"] == "action" for row in rows)
    for row in rows:
        if row["kind"] == "action" or (not recorded and _is(row, SUSPENDED_POSTCOPY)):
            yield row["t"]
        new_limit_ms = row.get("downtime_limit_ms")
        if new_limit_ms is not None:
            if not recorded and limit_ms is not None and new_limit_ms != limit_ms:
                yield row["t"]
            limit_ms = new_limit_ms


def _throttled(rows: Sequence[Row]) -> bool:
    return any(row.get("stats", {}).get("auto_converge_throttle") for row in rows)


def _changes_of_rate(recording: Recording, end: float) -> int | None:
    """Return how often the guest changed its dirty rate; None if the rate is not known.

    Its cycle is taken to begin with the migration.
    """
    segments: Any = recording.header.get("segments")
    try:
        lasts = [float(milliseconds) / 1000 for milliseconds, _ in segments]
        rates = [float(rate) for _, rate in segments]
    except (TypeError, ValueError):
        return None
    if not segments or not 0 < sum(lasts) < math.inf or min(lasts) < 0:
        return None
    if len(set(rates)) == 1:
        return 0
    cycles, rest = divmod(end, sum(lasts))
    begun = sum(start <= rest for start in itertools.accumulate(lasts[:-1]))
    return max(1, int(cycles) * len(lasts) + begun)


def _iteration_starts(rows: Sequence[Row]) -> Iterator[TrueIterationStart]:
    """Yield where libvirt's counter of iterations rises; at the time of the event, if there is one.

    What was left is computed back from the first sample of the iteration, by the transfer rate.
    """
    event_times: list[float] = []
    before: Row | None = None
    for row in rows:
        if row.get("event") == "iteration":
            event_times.append(row["t"])
        stats = row.get("stats", {}) if row["kind"] == "sample" else {}
        if not stats.get("memory_iteration") or "memory_remaining" not in stats:
            continue
        if before is not None and _number(row) > _number(before):
            times = [t for t in event_times if t > before["t"]] or [row["t"]]
            yield TrueIterationStart(
                times[0], stats["memory_remaining"] + _sent(before, row, times[-1])
            )
        if before is None or _number(row) >= _number(before):
            before, event_times = row, []


def _number(row: Row) -> int:
    return int(row["stats"]["memory_iteration"])


def _sent(before: Row, now: Row, since: float) -> float:
    """Return the bytes of memory sent from ``since`` to the sample ``now``, by the mean rate."""
    seconds = now["t"] - before["t"]
    moved = [row["stats"].get("memory_processed", 0) for row in (before, now)]
    return max(0.0, (moved[1] - moved[0]) / seconds * (now["t"] - since)) if seconds > 0 else 0.0


def _dirties_little(recording: Recording, iteration_starts: Sequence[TrueIterationStart]) -> bool:
    """Return whether the first iteration left little; the switchover may follow at once."""
    size = recording.memory_size_bytes
    left = iteration_starts[0].remaining_bytes if iteration_starts else 0
    return size is not None and left <= _LITTLE * size


def _plateau(
    iteration_starts: Sequence[TrueIterationStart], stops: Sequence[float]
) -> Plateau | None:
    """Return the plateau that lasted until the last of ``stops``; None if there was none.

    ``stops`` are the times of interventions, and perhaps of giving up at last.
    """
    if not stops:
        return None
    since = stops[-2] if len(stops) > 1 else 0.0
    within = [each for each in iteration_starts if since <= each.t < stops[-1]]
    level = within[plateau_start(each.remaining_bytes for each in within) :]
    following = [b.remaining_bytes for b in level[1 : 1 + _FOLLOWING]]
    if len(following) < _FOLLOWING or min(following) < _LEVEL * level[0].remaining_bytes:
        return None
    return Plateau(level[0].t, stops[-1])


def _stops(rows: Sequence[Row], interventions: Sequence[float], end: float | None) -> list[float]:
    """Return the interventions until it was given up: by an action, or else at its ``end``."""
    if end is None:
        return list(interventions)
    aborts = [row["t"] for row in rows if row.get("action") == "abort"]
    given_up = min([*aborts, end])
    return [*(t for t in interventions if t < given_up), given_up]

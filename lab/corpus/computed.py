# SPDX-License-Identifier: Apache-2.0
"""Drawn scenarios by arithmetic: as many as one likes, in no time, without a guest.

QEMU sends at the start of each slice of a tenth of a second. At its end it looks whether what is
left fits the downtime limit; if so it collects what was dirtied. A guest goes round and round its
working set. Auto-converge and libvirt's own time are not computed.
"""

import random
from collections.abc import Iterator
from typing import Any

from lab.corpus import drawn
from lab.corpus.scenario import Scenario

Row = dict[str, Any]
_MIB = 2**20
_PAGE_BYTES = 4096
_SLICE_S = 0.1
_SETUP_S, _TURN_S = 0.4, 0.5
_DISK_STEP_MIB = 16
_LIMIT_MS = 300
_WOBBLE_EVERY_S = (0.6, 1.6)
_OUTGOING, _UNBOUNDED = 5, 2
_SLICES_A_SAMPLE = 5
_QEMU_MIB = 32


def recordings(seeds: range) -> Iterator[tuple[str, list[Row]]]:
    """The recordings of so many draws, each by its name."""
    for seed in seeds:
        for scenario in drawn.draw(seed, f"computed-{seed}"):
            if not scenario.auto_converge:
                yield scenario.name, rows(scenario)


def rows(scenario: Scenario) -> list[Row]:
    """The recording of one scenario; equal scenarios give equal ones."""
    return _Migration(scenario).run()


def _resident_mib(scenario: Scenario) -> int:
    """QEMU's memory: all of the guest's is written."""
    return scenario.filled_mib + min(_QEMU_MIB, scenario.filled_mib // 8)


class _Migration:
    """Sizes in MiB; ``_slices`` counts the time, ``_at`` is it in seconds."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._rng = random.Random(scenario.name)
        self._rows: list[Row] = []
        self._at, self._slices = 0.0, 0
        self._limit_ms = scenario.downtime_ms or _LIMIT_MS
        self._bandwidth = self._usual_bandwidth = float(scenario.bandwidth_mib_s)
        self._wobbles_at = 0.0
        self._actions = list(scenario.actions)
        self._began_at = self._rng.uniform(0, sum(ms for ms, _ in scenario.segments) / 1000)
        self._sampled_s = self._rng.uniform(0.1, 0.9) * _SLICE_S  # from the start of a slice
        self._left = self._sent = self._disk = 0.0
        self._iteration = 0

    def run(self) -> list[Row]:
        self._rest(_SETUP_S)
        completed = self._copy_disk() and self._copy_memory()
        if completed:
            self._switch_over()
        end = self._row("end", outcome="completed" if completed else "failed")
        end |= {"error": None if completed else "aborted", "completed_stats": {}}
        header = {"kind": "header", **self._scenario.header()}
        header |= {
            "mem_mib": self._scenario.filled_mib,
            "resident_mib": _resident_mib(self._scenario),
        }
        return [header, *self._rows]

    # -- the moments ---------------------------------------------------------------------------

    def _copy_disk(self) -> bool:
        while self._disk < self._scenario.disk_mib:
            self._disk = min(self._scenario.disk_mib, self._disk + self._bandwidth * _SLICE_S)
            if not self._tick():
                return False
        if self._scenario.disk_mib:
            self._rest(_TURN_S)
        return True

    def _copy_memory(self) -> bool:
        """Iterate until what is left fits the downtime; False if it was aborted before."""
        working_set = float(self._scenario.working_set_mib)
        self._left = float(self._scenario.filled_mib)
        self._begin_iteration()
        while True:
            began_at = self._at
            while True:
                moved = min(self._left, self._bandwidth * _SLICE_S)
                self._left -= moved
                self._sent += moved
                if not self._tick():
                    return False
                if self._left <= self._fits_mib:
                    break
            dirtied = min(working_set, self._written_mib(began_at, self._at))
            most = self._left + dirtied
            # What was not sent is a part of what it writes, too, but in the first iteration.
            self._left = most if self._iteration == 1 else min(most, working_set)
            if self._left <= self._fits_mib:
                return True
            self._begin_iteration()

    def _switch_over(self) -> None:
        self._event("lifecycle", code=3, detail=1)
        self._begin_iteration()
        # For the pause QEMU lifts its own bandwidth limit: the rest takes next to no time.
        self._at += drawn.LAB_COMPLETION_SECONDS + self._scenario.held_up_s
        self._event("lifecycle", code=5, detail=3)
        self._event("job_completed", stats=self._stats())

    def _begin_iteration(self) -> None:
        self._iteration += 1
        self._event("iteration", iteration=self._iteration)

    # -- the guest -----------------------------------------------------------------------------

    @property
    def _fits_mib(self) -> float:
        return self._bandwidth * self._limit_ms / 1000

    def _written_mib(self, since: float, until: float) -> float:
        return self._written_by(until) - self._written_by(since)

    def _written_by(self, at: float) -> float:
        segments = self._scenario.segments
        cycles, rest = divmod(at + self._began_at, sum(ms for ms, _ in segments) / 1000)
        written = cycles * sum(ms / 1000 * pace for ms, pace in segments)
        for ms, pace in segments:
            written += pace * max(0.0, min(rest, ms / 1000))
            rest -= ms / 1000
        return written

    # -- time ----------------------------------------------------------------------------------

    def _rest(self, seconds: float) -> None:
        for _ in range(round(seconds / _SLICE_S)):
            self._tick()

    def _tick(self) -> bool:
        """Let a slice pass; False if it is aborted."""
        if self._slices % _SLICES_A_SAMPLE == 0:
            stats = self._stats()
            row = self._row("sample", stats=stats, downtime_limit_ms=self._limit_ms)
            row["t"] = round(self._at + self._sampled_s, 3)
        self._slices += 1
        self._at += _SLICE_S
        while self._actions and self._actions[0][0] <= self._at:
            _, action, argument = self._actions.pop(0)
            self._row("action", action=action, arg=argument)
            if action == "abort":
                return False
            if action == "bandwidth":
                self._bandwidth = self._usual_bandwidth = float(argument)
        wobble = self._scenario.wobble
        if wobble and self._at >= self._wobbles_at:
            self._bandwidth = self._usual_bandwidth * (1 + self._rng.uniform(-wobble, wobble))
            self._wobbles_at = self._at + self._rng.uniform(*_WOBBLE_EVERY_S)
        return True

    # -- rows ----------------------------------------------------------------------------------

    def _row(self, kind: str, **values: Any) -> Row:
        row = {"t": round(self._at, 3), "kind": kind, **values}
        self._rows.append(row)
        return row

    def _event(self, event: str, **values: Any) -> None:
        self._row("event", event=event, **values)

    def _stats(self) -> Row:
        scenario = self._scenario
        disk = min(scenario.disk_mib, int(self._disk) // _DISK_STEP_MIB * _DISK_STEP_MIB)
        if self._iteration:
            disk = scenario.disk_mib
        disks = {"disk_total": scenario.disk_mib * _MIB, "disk_processed": disk * _MIB}
        disks["disk_remaining"] = disks["disk_total"] - disks["disk_processed"]
        stats = {"operation": _OUTGOING, "type": _UNBOUNDED, **(disks if scenario.disk_mib else {})}
        stats["time_elapsed"] = round(self._at * 1000)
        if self._iteration:
            stats |= {
                "memory_total": scenario.filled_mib * _MIB,
                "memory_processed": int(self._sent * _MIB),
                "memory_remaining": int(self._left * _MIB),
                "memory_iteration": self._iteration,
                "memory_page_size": _PAGE_BYTES,
                "downtime": self._limit_ms,
            }
        return stats

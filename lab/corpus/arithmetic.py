# SPDX-License-Identifier: Apache-2.0
"""Migrations that take too long to record, by arithmetic: what libvirt would have shown.

It is QEMU's pre-copy. An iteration sends what the one before left, until so little is left that the
pause would do for it; then QEMU looks what was dirtied meanwhile (a bitmap sync: nothing moves),
and either that is little too, or it is the next iteration. Between these moments all is linear, so
that a day takes no longer to compute than its rows to write.
"""

import math
from collections.abc import Callable
from typing import Any

from lab.corpus.course import HandmadeCourse, Load

Row = dict[str, Any]
MIB = 2**20
PAGE_BYTES = 4096
DAY_S = 86400
NEVER_S = 3 * DAY_S
SETUP_S = 0.4
ABORT_S = 0.5  # from the request to the end
# QEMU compares once in a tenth of a second, so what is left is below the limit by then.
BELOW_LIMIT = 0.35
OUTGOING, UNBOUNDED, CANCELLED = 5, 2, 5  # libvirt's operation; types of a job


def rows(course: HandmadeCourse) -> list[Row]:
    """The recording of a course."""
    return _Clockwork(course).run()


class _Aborted(Exception):
    pass


class _Clockwork:
    """Goes from moment to moment, and is polled on the way."""

    def __init__(self, course: HandmadeCourse) -> None:
        self._course = course
        self._rows: list[Row] = []
        self._at = self._due = 0.0
        self._pending = list(course.limits_ms[1:])
        self._limit_ms = course.limits_ms[0][1]
        self._iteration = 0
        self._left = self._sent = self._dirty_mib_s = self._expected_s = 0.0
        self._disk_left = self._disk_total = course.disk_mib * float(MIB)

    def run(self) -> list[Row]:
        self._go_to(SETUP_S, self._nothing)
        try:
            self._copy_disk()
            self._copy_memory()
            end = self._switch_over()
        except _Aborted:
            end = self._abort()
        return [self._course.header(), *self._rows, end]

    # -- the moments ---------------------------------------------------------------------------

    def _copy_disk(self) -> None:
        course = self._course
        while self._disk_left >= PAGE_BYTES:
            swing = 1 + course.disk_swing * math.sin(2 * math.pi * self._at / DAY_S)
            net = (course.bandwidth_mib_s * swing - course.disk_written_mib_s) * MIB
            self._copy_some_disk(net, min(course.sample_every_s, self._disk_left / net))
        self._disk_left = 0.0

    def _copy_some_disk(self, net: float, seconds: float) -> None:
        """`net`: bytes that the copy gains on the guest, in a second."""
        left, total, began = self._disk_left, self._disk_total, self._at

        def flow(at: float) -> None:
            # What the guest writes behind the copy has to be copied again: the total grows.
            self._disk_total = total + self._course.disk_written_mib_s * MIB * (at - began)
            self._disk_left = left - net * (at - began)

        self._go_to(began + seconds, flow)

    def _copy_memory(self) -> None:
        """Iteration after iteration, until what is left fits into the pause."""
        self._left = self._course.memory_mib * float(MIB)
        self._begin_iteration()
        while self._at < NEVER_S:
            began = self._at
            bottom = min(self._left, BELOW_LIMIT * self._allowed_bytes)
            self._send(self._left - bottom)
            self._go_to(self._at + self._course.sync_s, self._nothing)
            dirtied = self._dirtied_bytes(began, self._at - began)
            self._dirty_mib_s = dirtied / MIB / (self._at - began)
            again = dirtied / max(dirtied, self._working_set_bytes(began))
            self._left = min(bottom * (1 - again) + dirtied, self._course.memory_mib * float(MIB))
            self._expected_s = self._left / self._rate
            if self._left <= self._allowed_bytes:
                return
            self._begin_iteration()
        raise ValueError(f"{self._course.name} has no end")

    def _switch_over(self) -> Row:
        self._event("lifecycle", code=3, detail=1)
        self._begin_iteration()
        pause_s = self._left / self._rate
        self._send(self._left)
        self._event("lifecycle", code=5, detail=3)
        final = self._stats() | {"downtime": round(pause_s * 1000), "memory_dirty_rate": 0}
        self._event("job_completed", stats=final)
        gone = {"error": "Requested operation is not valid: domain is not running", "code": 55}
        self._row("sample", **gone)
        stats = {
            "source": {"error": "Domain not found"},
            "dest": final | {"operation": 4, "type": 3},
        }
        return {
            "t": round(self._at, 3),
            "kind": "end",
            "outcome": "completed",
            "error": None,
            "completed_stats": stats,
        }

    def _abort(self) -> Row:
        self._row("action", action="abort", arg=0)
        self._at += ABORT_S / 2
        self._row("sample", stats={"operation": OUTGOING, "type": CANCELLED})
        return {
            "t": round(self._at + ABORT_S / 2, 3),
            "kind": "end",
            "outcome": "failed",
            "error": "operation aborted: job 'migration out' canceled by client",
            "completed_stats": {"source": {"type": 0}, "dest": {"error": "Domain not found"}},
        }

    # -- the guest -------------------------------------------------------------------------------

    @property
    def _rate(self) -> float:
        return self._course.bandwidth_mib_s * MIB

    @property
    def _allowed_bytes(self) -> float:
        """What the pause allows to be left."""
        return self._rate * self._limit_ms / 1000

    def _loads(self, at: float) -> tuple[Load, ...]:
        return [loads for start, loads in self._course.loads if start <= at][-1]

    def _dirtied_bytes(self, at: float, seconds: float) -> float:
        loads = self._loads(at)
        return sum(min(x.pace_mib_s * seconds, x.working_set_mib) for x in loads) * MIB

    def _working_set_bytes(self, at: float) -> float:
        return sum(x.working_set_mib for x in self._loads(at)) * MIB

    # -- time ------------------------------------------------------------------------------------

    def _begin_iteration(self) -> None:
        self._iteration += 1
        self._event("iteration", iteration=self._iteration)

    def _send(self, size: float) -> None:
        left, sent, began = self._left, self._sent, self._at

        def flow(at: float) -> None:
            self._left = left - self._rate * (at - began)
            self._sent = sent + self._rate * (at - began)

        self._go_to(self._at + size / self._rate, flow)

    def _nothing(self, _at: float) -> None:
        pass

    def _go_to(self, until: float, flow: Callable[[float], None]) -> None:
        """Let time pass, polled and raised the limit as is due; `flow` sets the counters."""
        while True:
            limit_at = self._pending[0][0] if self._pending else math.inf
            at = min(until, self._due, limit_at, self._course.abort_s)
            flow(at)
            self._at = at
            if at == self._course.abort_s:
                raise _Aborted
            if at == limit_at:
                self._limit_ms = self._pending.pop(0)[1]
                self._row("action", action="downtime", arg=self._limit_ms)
            elif at == self._due:
                self._poll()
            else:
                return

    def _poll(self) -> None:
        self._due += self._course.sample_every_s
        began, ended = self._course.silent_s
        if not began <= self._at < ended:
            stats = self._stats() | {"type": UNBOUNDED}
            self._row("sample", stats=stats, downtime_limit_ms=self._limit_ms)

    # -- rows ------------------------------------------------------------------------------------

    def _row(self, kind: str, **values: Any) -> None:
        self._rows.append({"t": round(self._at, 3), "kind": kind, **values})

    def _event(self, event: str, **values: Any) -> None:
        self._row("event", event=event, **values)

    def _stats(self) -> Row:
        disk = {
            "disk_total": int(self._disk_total),
            "disk_processed": int(self._disk_total - self._disk_left),
            "disk_remaining": int(self._disk_left),
        }
        total = self._course.memory_mib * MIB if self._iteration else 0
        memory = {
            "memory_total": total,
            "memory_processed": int(self._sent),
            "memory_remaining": max(0, int(self._left)),
            "memory_dirty_rate": int(self._dirty_mib_s * MIB / PAGE_BYTES),
            "memory_iteration": self._iteration,
        }
        data = {
            f"data_{key}": memory[f"memory_{key}"] + disk[f"disk_{key}"]
            for key in ("total", "processed", "remaining")
        }
        stats = {
            "operation": OUTGOING,
            "time_elapsed": round(self._at * 1000),
            **data,
            **memory,
            **disk,
        }
        if self._iteration:
            expected_ms = round(self._expected_s * 1000) if self._iteration > 1 else self._limit_ms
            stats |= {"downtime": expected_ms, "memory_page_size": PAGE_BYTES}
            stats |= {"memory_bps": int(self._rate)}
        return stats

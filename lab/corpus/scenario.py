# SPDX-License-Identifier: Apache-2.0
"""What a recording is of: a guest, a migration, and what is done to it on its way."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

# Seconds since the migrate call, what is done, and its argument:
# ("bandwidth", MiB/s) ("downtime", ms) ("postcopy", 0) ("abort", 0) ("network", "stop" or "cont")
Action = tuple[float, str, Any]
Segments = tuple[tuple[int, float], ...]

FOR_EVER_MS = 600_000  # a segment that outlives every migration here
TIMER_HZ = 100  # how often a guest wakes
RESERVED_MIB = 16  # left unfilled, unless a scenario says otherwise


def steady(mib_per_second: float) -> Segments:
    """A guest that dirties at one pace for ever."""
    return ((1000, mib_per_second),)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One migration to record.

    `physics` names what it is an example of; each is in both halves, with other numbers.
    `cancelled_after_s`: an earlier attempt was aborted so many seconds after its start, and the
    recording is of the next. Scenarios of the same `together` run at once, between the same hosts.
    `wobble`: the bandwidth varies by this share each way, once in a second or so.
    `held_up_s`: the destination's libvirtd stands still so long when the guest was switched over;
    `completion_time_s` is then how long earlier migrations took from there to their end.
    `may_end_before_actions`: each outcome is fine.
    """

    physics: str
    name: str
    memory_mib: int
    working_set_mib: int
    segments: Segments
    bandwidth_mib_s: int
    _: KW_ONLY
    fill_mib: int | None = None
    disk_mib: int = 0
    downtime_ms: int | None = None
    auto_converge: bool = False
    post_copy_mib_s: int | None = None
    actions: tuple[Action, ...] = ()
    cancelled_after_s: float | None = None
    together: str | None = None
    timer_hz: int = TIMER_HZ
    words_per_page: int = 1
    wobble: float = 0.0
    held_up_s: float = 0.0
    completion_time_s: float | None = None
    may_end_before_actions: bool = False

    @property
    def post_copy(self) -> bool:
        return any(action == "postcopy" for _, action, _ in self.actions)

    @property
    def expected(self) -> tuple[str, ...]:
        """The outcomes that are fine: all go well but those that are aborted."""
        if self.may_end_before_actions:
            return ("completed", "failed")
        aborted = any(action == "abort" for _, action, _ in self.actions)
        return ("failed",) if aborted else ("completed",)

    @property
    def filled_mib(self) -> int:
        return self.memory_mib - RESERVED_MIB if self.fill_mib is None else self.fill_mib

    def header(self) -> dict[str, Any]:
        """How it is made, as a recording's first row says; what does not apply is left out."""
        always = {
            "scenario": self.name,
            "physics": self.physics,
            "mem_mib": self.memory_mib,
            "fill_mib": self.filled_mib,
            "ws_mib": self.working_set_mib,
            "segments": self.segments,
            "bandwidth_mib_s": self.bandwidth_mib_s,
        }
        sometimes = {
            "disk_mib": self.disk_mib,
            "downtime_ms": self.downtime_ms,
            "auto_converge": self.auto_converge,
            "post_copy": self.post_copy,
            "post_copy_mib_s": self.post_copy_mib_s,
            "actions": self.actions,
            "cancelled_after_s": self.cancelled_after_s,
            "together": self.together,
            "timer_hz": self.timer_hz if self.timer_hz != TIMER_HZ else None,
            "words_per_page": self.words_per_page if self.words_per_page > 1 else None,
            "wobble": self.wobble,
            "held_up_s": self.held_up_s,
            "completion_time_seconds": self.completion_time_s,
        }
        return always | {key: value for key, value in sometimes.items() if value}

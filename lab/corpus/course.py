# SPDX-License-Identifier: Apache-2.0
"""What a handmade recording is of: a guest, its migration, and what becomes of both in time."""

import math
import uuid
from dataclasses import dataclass
from typing import Any

from lab.corpus.scenario import FOR_EVER_MS


@dataclass(frozen=True, slots=True)
class Load:
    """Pages written over and over: so fast, in a set so large; a guest may have several."""

    pace_mib_s: float
    working_set_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandmadeCourse:
    """The script of a migration that is made by hand.

    `loads` and `limits_ms` (on the pause) are in force from the given second on.
    `silent_s`: between these seconds no reading came back, while events went on.
    `disk_swing`: by how much of itself the disk's pace rises and falls in a day.
    """

    name: str
    memory_mib: int
    loads: tuple[tuple[float, tuple[Load, ...]], ...]
    bandwidth_mib_s: float
    sample_every_s: float
    disk_mib: int = 0
    disk_written_mib_s: float = 0.0
    disk_swing: float = 0.0
    limits_ms: tuple[tuple[float, int], ...] = ((0.0, 300),)
    silent_s: tuple[float, float] = (0.0, 0.0)
    sync_s: float = 0.01
    abort_s: float = math.inf

    def header(self) -> dict[str, Any]:
        actions = [[at, "downtime", limit] for at, limit in self.limits_ms[1:]]
        if self.abort_s < math.inf:
            actions.append([self.abort_s, "abort", 0])
        starts = [at for at, _ in self.loads[1:]]
        segments = [
            [round((until - at) * 1000) if until else FOR_EVER_MS, sum(x.pace_mib_s for x in loads)]
            for (at, loads), until in zip(self.loads, [*starts, 0], strict=True)
        ]
        return {
            "kind": "header",
            "scenario": self.name,
            "physics": "handmade",
            "mem_mib": self.memory_mib,
            "fill_mib": self.memory_mib,
            "ws_mib": max(sum(x.working_set_mib for x in loads) for _, loads in self.loads),
            "segments": segments,
            "bandwidth_mib_s": self.bandwidth_mib_s,
            "disk_mib": self.disk_mib,
            "downtime_ms": self.limits_ms[0][1],
            "actions": actions,
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name)),
            "libvirt": 9000000,
            "hypervisor": 7002022,
        }

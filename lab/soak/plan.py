# SPDX-License-Identifier: Apache-2.0
"""Which migrations there are, and what libvirt would say of each. Pure, so that two hosts in
processes of their own and whoever judges them agree without a word.
"""

import enum
import random
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

HOSTS = ("soak-a", "soak-b")
_MIB = 2**20
_PAGE_BYTES = 4096
_DOWNTIME_MS = 40
_SECONDS = (1.0, 3.0)
# The source pauses the server so long before the end.
_SWITCHOVER_SECONDS = 0.1
# A server is there so long before it migrates, and so long after.
_BEFORE_SECONDS, _AFTER_SECONDS = 1.5, 6.0
_NAMES = ("web", "データベース", "🐎", "<b>&amp;</b>", "'; --", "a" * 200, "été", "%s {}")


class Ending(enum.StrEnum):
    """``given_up``: as failed, but QEMU does not say so. ``crashed``: QEMU dies.
    ``vanished``: the server is gone without an event."""

    COMPLETED = "completed"
    FAILED = "failed"
    GIVEN_UP = "given_up"
    ABORTED = "aborted"
    CRASHED = "crashed"
    VANISHED = "vanished"


# What is to be stored of each.
STATUSES = {
    Ending.COMPLETED: "completed",
    Ending.FAILED: "failed",
    Ending.GIVEN_UP: "failed",
    Ending.ABORTED: "cancelled",
    Ending.CRASHED: "failed",
    Ending.VANISHED: "unknown",
}
_WEIGHTS = dict(zip(Ending, (10, 2, 2, 3, 2, 1), strict=True))


class Act(enum.StrEnum):
    """What happens at a host to a server."""

    BOOT = "boot"
    SET_OUT = "set out"
    RECEIVE = "receive"
    ITERATION = "iteration"
    PAUSE = "pause"
    END = "end"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Step:
    """``at``: seconds since the soak began. ``value``: of an iteration, its number."""

    at: float
    host: str
    act: Act
    value: int = 0


@dataclass(frozen=True, slots=True)
class Journey:
    """A migration; ``begins_at``: seconds since the soak began."""

    server_uuid: str
    server_name: str
    source: str
    dest: str
    ending: Ending
    begins_at: float
    lasts_seconds: float
    memory_bytes: int

    @property
    def first_at(self) -> float:
        """When there is something to be seen of it."""
        return self.begins_at - _BEFORE_SECONDS

    def steps(self) -> list[Step]:
        """All that happens, in order."""
        began, ends = self.begins_at, self.begins_at + self.lasts_seconds
        steps = [
            Step(self.first_at, self.source, Act.BOOT),
            Step(began, self.source, Act.SET_OUT),
            Step(began, self.dest, Act.RECEIVE),
            Step(began + 0.05, self.source, Act.ITERATION, 1),
            Step(began + 0.6 * self.lasts_seconds, self.source, Act.ITERATION, 2),
        ]
        if self.ending is Ending.COMPLETED:
            steps.append(Step(ends - _SWITCHOVER_SECONDS, self.source, Act.PAUSE))
        steps += [Step(ends, self.source, Act.END), Step(ends, self.dest, Act.END)]
        stays_at = self.dest if self.ending is Ending.COMPLETED else self.source
        return [*steps, Step(ends + _AFTER_SECONDS, stays_at, Act.REMOVE)]

    def stats(self, elapsed_seconds: float) -> dict[str, Any]:
        """The job's statistics at the source while it runs."""
        share = min(1.0, max(0.0, elapsed_seconds / self.lasts_seconds))
        sent = int(share * self.memory_bytes)
        return {
            "type": 2,
            "operation": 5,
            "time_elapsed": int(elapsed_seconds * 1000),
            "downtime": 300,
            "memory_total": self.memory_bytes,
            "memory_processed": sent,
            "memory_remaining": self.memory_bytes - sent,
            "memory_iteration": 1 if share < 0.6 else 2,
            "memory_dirty_rate": 0,
            "memory_page_size": _PAGE_BYTES,
            "disk_total": 0,
            "disk_processed": 0,
            "disk_remaining": 0,
        }

    def final(self) -> dict[str, Any]:
        """Those of its end, at the source; only one that completed has any."""
        more = {"type": 3, "downtime": _DOWNTIME_MS, "memory_remaining": 0}
        return self.stats(self.lasts_seconds) | more


def journey(number: int, seed: int, per_second: float, without: Collection[str] = ()) -> Journey:
    """The migration of that number, from 0 on; each has a server of its own. None ends in one of
    the ways of ``without``."""
    rng = random.Random(f"{seed} {number}")
    source = number % 2
    weights = [0 if ending in without else weight for ending, weight in _WEIGHTS.items()]
    (ending,) = rng.choices(list(Ending), weights)
    return Journey(
        server_uuid=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        server_name=f"{rng.choice(_NAMES)} {number}",
        source=HOSTS[source],
        dest=HOSTS[1 - source],
        ending=ending,
        begins_at=_BEFORE_SECONDS + number / per_second,
        lasts_seconds=round(rng.uniform(*_SECONDS), 3),
        memory_bytes=rng.randrange(64, 4096) * _MIB,
    )

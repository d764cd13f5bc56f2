# SPDX-License-Identifier: Apache-2.0
"""What a process has in memory, and how many descriptors and threads it has, as time goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from lab.soak.growth import Point

# What is measured, and the growth per 1,000 migrations that is allowed, of both hosts together.
LIMITS: Mapping[str, float] = {"rss_kib": 256.0, "descriptors": 2.0, "threads": 2.0}


@dataclass(slots=True)
class Series:
    """Of one process: by what is measured, its points."""

    pid: int
    points: dict[str, list[Point]] = field(default_factory=lambda: {name: [] for name in LIMITS})

    def look(self, migrations: int) -> None:
        """Add what is used now. Raises :class:`psutil.NoSuchProcess`."""
        process = psutil.Process(self.pid)
        with process.oneshot():
            values = {
                "rss_kib": process.memory_info().rss / 1024,
                "descriptors": process.num_fds(),
                "threads": process.num_threads(),
            }
        for name, value in values.items():
            self.points[name].append(Point(migrations, value))

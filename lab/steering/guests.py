# SPDX-License-Identifier: Apache-2.0
"""The guests that migrate: those with a name, whose course is known, and those drawn by chance.

What a guest needs is said relative to the bandwidth B of its migration, so that it does not depend
on the machine: QEMU begins the last part when what remains fits the downtime limit at B. A guest
that dirties its whole working set W between two looks of QEMU needs a limit of W / B seconds.
"""

import random
from dataclasses import dataclass

from lab.corpus.scenario import Segments, steady
from lab.hosts import Guest, NovaMetadata

# Not filled: zero pages take no time to send.
_SPARE_MIB = 16
# An emulated guest can do that on any machine.
_FASTEST_MIB_S = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A guest and the limits that its migration begins with. ``kind`` is a word for people.

    ``downtime_ms`` None: QEMU's own, 300 ms.
    """

    kind: str
    bandwidth_mib_s: int
    fill_mib: int
    working_set_mib: int
    segments: Segments
    disk_mib: int = 0
    downtime_ms: int | None = None

    @property
    def first_iteration_seconds(self) -> float:
        """How long the disk and the first iteration take."""
        return (self.disk_mib + self.fill_mib) / self.bandwidth_mib_s

    @property
    def memory_mib(self) -> int:
        return self.fill_mib + _SPARE_MIB

    def guest(self, name: str) -> Guest:
        return Guest(
            name=name,
            memory_mib=self.memory_mib,
            fill_mib=self.fill_mib,
            working_set_mib=self.working_set_mib,
            segments=self.segments,
            disk_mib=self.disk_mib,
            nova=NovaMetadata(server_name=name),
        )

    def text(self) -> str:
        """Describe it in a line."""
        paces = ", ".join(f"{pace:.3g} MiB/s {ms / 1000:.3g} s" for ms, pace in self.segments)
        disk = f", disk {self.disk_mib} MiB" if self.disk_mib else ""
        return (
            f"{self.kind}: {self.bandwidth_mib_s} MiB/s for {self.fill_mib} MiB{disk}, dirties "
            f"{self.working_set_mib} MiB at {paces}"
        )


# As the guest of KubeVirt's measurement: as QEMU counts it, it dirties 80 % of the bandwidth over a
# period. For 48 s of 60 what remains stays at 0.8 s of B, just over the limit; then it rests.
KUBEVIRT = Shape(
    kind="kubevirt",
    bandwidth_mib_s=5,
    fill_mib=40,
    working_set_mib=4,
    segments=((48_000, 40.0), (12_000, 0.0)),
    downtime_ms=700,
)
# What remains stays at 0.8 s of B: more than QEMU's own limit, for ever.
NEEDS_DOWNTIME = Shape(
    kind="needs downtime",
    bandwidth_mib_s=5,
    fill_mib=10,
    working_set_mib=4,
    segments=steady(40.0),
)
# What remains stays at 6 s of B.
HOPELESS = Shape(
    kind="hopeless",
    bandwidth_mib_s=4,
    fill_mib=28,
    working_set_mib=24,
    segments=steady(16.0),
)


def converging(rng: random.Random) -> Shape:
    """Draw a guest that converges by itself: quiet, of a middle pace, or with a small hot set."""
    return rng.choice((_quiet, _middle, _small_hot_set))(rng)


def draw(rng: random.Random) -> Shape:
    """Draw any guest."""
    return rng.choice(
        (_quiet, _middle, _fast, _small_hot_set, _hot_set, _hopeless, _bursts, _starts_late)
    )(rng)


def _shape(
    rng: random.Random,
    kind: str,
    bandwidth: int,
    segments: Segments,
    working_set_mib: int | None = None,
) -> Shape:
    fill_mib = round(bandwidth * rng.uniform(2.5, 5.0))
    return Shape(
        kind=kind,
        bandwidth_mib_s=bandwidth,
        fill_mib=fill_mib,
        working_set_mib=min(working_set_mib or fill_mib, fill_mib),
        segments=segments,
        disk_mib=rng.choice((0, 0, 0, bandwidth * 2)),
    )


def _bandwidth(rng: random.Random) -> int:
    return rng.randint(6, 12)


def _quiet(rng: random.Random) -> Shape:
    bandwidth = _bandwidth(rng)
    return _shape(rng, "quiet", bandwidth, steady(bandwidth * rng.uniform(0, 0.1)))


def _middle(rng: random.Random) -> Shape:
    bandwidth = _bandwidth(rng)
    return _shape(rng, "middle", bandwidth, steady(bandwidth * rng.uniform(0.2, 0.6)))


def _fast(rng: random.Random) -> Shape:
    bandwidth = _bandwidth(rng)
    pace = bandwidth * rng.uniform(0.7, 0.9)
    return _shape(rng, "fast", bandwidth, steady(pace))


def _small_hot_set(rng: random.Random) -> Shape:
    """It fits QEMU's own limit."""
    return _hot(rng, "small hot set", rng.uniform(0.08, 0.2))


def _hot_set(rng: random.Random) -> Shape:
    """It needs a higher limit."""
    return _hot(rng, "hot set", rng.uniform(0.45, 1.5))


def _hopeless(rng: random.Random) -> Shape:
    return _hot(rng, "hopeless", rng.uniform(4.0, 6.0))


def _hot(rng: random.Random, kind: str, needs_seconds: float) -> Shape:
    bandwidth = _bandwidth(rng)
    working_set_mib = max(1, round(bandwidth * needs_seconds))
    # All of it between two looks of QEMU, which are 0.1 s apart at least.
    pace = max(3.0 * bandwidth, min(10.0 * working_set_mib, _FASTEST_MIB_S))
    return _shape(rng, kind, bandwidth, steady(pace), working_set_mib)


def _bursts(rng: random.Random) -> Shape:
    """Short bursts over the bandwidth, and rests; it converges in between."""
    bandwidth = _bandwidth(rng)
    burst = (rng.randrange(200, 1000, 10), bandwidth * rng.uniform(1.2, 2.5))
    rest = (rng.randrange(2000, 5000, 10), bandwidth * rng.uniform(0.0, 0.2))
    return _shape(rng, "bursts", bandwidth, (burst, rest))


def _starts_late(rng: random.Random) -> Shape:
    """Quiet for the first iteration, fast afterwards."""
    bandwidth = _bandwidth(rng)
    quiet = (rng.randrange(2000, 4000, 10), bandwidth * 0.1)
    return _shape(
        rng,
        "starts late",
        bandwidth,
        (quiet, (600_000, bandwidth * rng.uniform(0.3, 0.8))),
    )

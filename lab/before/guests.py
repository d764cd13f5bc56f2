# SPDX-License-Identifier: Apache-2.0
"""The guests that are forecast, drawn by chance: what they write is relative to the bandwidth B.

A guest goes round and round its working set W at a pace r, so that in T seconds it dirties the
lesser of r T and W.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.corpus.scenario import steady
from lab.steering.guests import Shape

# An emulated guest can do that on any machine.
_FASTEST_MIB_S = 100.0
# QEMU's own limit of the downtime.
DOWNTIME_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn(Shape):
    """A guest and its migration. ``is_steady``: it always writes at one pace, and nothing slows
    it."""

    is_steady: bool = True
    auto_converge: bool = False

    def text(self) -> str:
        """Describe it in a line."""
        limit = f", downtime {self.downtime_ms} ms" if self.downtime_ms else ""
        throttle = ", auto-converge" if self.auto_converge else ""
        return f"{Shape.text(self)}{limit}{throttle}"


Kind = Callable[[random.Random, int], Drawn]


def draw(rng: random.Random, bandwidths_mib_s: Sequence[int]) -> list[Drawn]:
    """Draw guests of all kinds in turn, in an order by chance; one for each bandwidth."""
    kinds = [_KINDS[number % len(_KINDS)] for number in range(len(bandwidths_mib_s))]
    rng.shuffle(kinds)
    return [kind(rng, each) for kind, each in zip(kinds, bandwidths_mib_s, strict=True)]


def draw_bandwidth(rng: random.Random) -> int:
    """Draw the bandwidth of a network, in MiB/s."""
    return rng.randint(16, 40)


def quiet(bandwidth_mib_s: int, seconds: float) -> Drawn:
    """Return a guest that writes next to nothing and takes so many seconds."""
    fill_mib = round(bandwidth_mib_s * seconds)
    return Drawn(
        kind="known",
        bandwidth_mib_s=bandwidth_mib_s,
        fill_mib=fill_mib,
        working_set_mib=fill_mib,
        segments=steady(0.1),
    )


def draw_for_drain(rng: random.Random, count: int, bandwidth_mib_s: int) -> list[Drawn]:
    """Draw guests that share a link: each converges if it is alone on it."""
    kinds = [_DRAIN_KINDS[number % len(_DRAIN_KINDS)] for number in range(count)]
    rng.shuffle(kinds)
    # libvirt keeps a downtime limit at the source alone, and these come back.
    drawn = [kind(rng, bandwidth_mib_s) for kind in kinds]
    return [replace(each, downtime_ms=None) for each in drawn]


def _steady(kind: str, low: float, high: float, passes_low: float = 5.0, passes_high: float = 9.0):
    """Return how to draw a guest whose pace is between two shares of the bandwidth, and whose
    first iteration takes so many seconds."""

    def drawn(rng: random.Random, bandwidth: int) -> Drawn:
        fill_mib = round(bandwidth * rng.uniform(passes_low, passes_high))
        pace = min(_FASTEST_MIB_S, bandwidth * rng.uniform(low, high))
        return Drawn(
            kind=kind,
            bandwidth_mib_s=bandwidth,
            fill_mib=fill_mib,
            working_set_mib=round(fill_mib * rng.uniform(0.7, 1.0)),
            segments=steady(round(pace, 2)),
            downtime_ms=rng.choice((None, None, None, 150, 600)),
        )

    return drawn


def _round_in_one_pass(rng: random.Random, bandwidth: int) -> Drawn:
    """Its working set comes round about once in the first iteration."""
    fill_mib = round(bandwidth * rng.uniform(5.0, 9.0))
    pace = bandwidth * rng.uniform(0.3, 0.7)
    written_mib = pace * fill_mib / bandwidth
    return Drawn(
        kind="comes round once",
        bandwidth_mib_s=bandwidth,
        fill_mib=fill_mib,
        working_set_mib=max(2, round(written_mib * rng.uniform(0.6, 1.0))),
        segments=steady(round(pace, 2)),
    )


def _hot(kind: str, low: float, high: float) -> Kind:
    """Return how to draw a guest whose working set is between two shares of what fits the
    downtime limit, and which dirties all of it between two looks of QEMU."""

    def drawn(rng: random.Random, bandwidth: int) -> Drawn:
        downtime_ms = rng.choice((None, None, 600))
        fits_mib = bandwidth * (downtime_ms or 300) / 1000
        working_set_mib = max(1, round(fits_mib * rng.uniform(low, high)))
        pace = min(_FASTEST_MIB_S, max(2.5 * bandwidth, 8.0 * working_set_mib))
        return Drawn(
            kind=kind,
            bandwidth_mib_s=bandwidth,
            fill_mib=round(bandwidth * rng.uniform(5.0, 9.0)),
            working_set_mib=working_set_mib,
            segments=steady(round(pace, 2)),
            downtime_ms=downtime_ms,
        )

    return drawn


def _bursts(kind: str, low_ms: int, high_ms: int) -> Kind:
    """Return how to draw a guest that writes in bursts, and rests for about as long."""

    def drawn(rng: random.Random, bandwidth: int) -> Drawn:
        fill_mib = round(bandwidth * rng.uniform(5.0, 9.0))
        burst_ms, rest_ms = (rng.randrange(low_ms, high_ms, 10) for _ in range(2))
        return Drawn(
            kind=kind,
            bandwidth_mib_s=bandwidth,
            fill_mib=fill_mib,
            working_set_mib=round(fill_mib * rng.uniform(0.3, 0.8)),
            segments=(
                (burst_ms, round(bandwidth * rng.uniform(0.6, 1.5), 2)),
                (rest_ms, round(bandwidth * rng.uniform(0.0, 0.2), 2)),
            ),
            is_steady=False,
        )

    return drawn


def _with_disk(kind: str, low: float, high: float) -> Kind:
    """Return how to draw a guest with a disk."""

    def drawn(rng: random.Random, bandwidth: int) -> Drawn:
        fill_mib = round(bandwidth * rng.uniform(3.0, 6.0))
        return Drawn(
            kind=kind,
            bandwidth_mib_s=bandwidth,
            fill_mib=fill_mib,
            working_set_mib=round(fill_mib * rng.uniform(0.5, 1.0)),
            segments=steady(round(bandwidth * rng.uniform(low, high), 2)),
            disk_mib=round(bandwidth * rng.uniform(3.0, 8.0)),
        )

    return drawn


def _auto_converge(rng: random.Random, bandwidth: int) -> Drawn:
    fill_mib = round(bandwidth * rng.uniform(3.0, 6.0))
    return Drawn(
        kind="auto-converge",
        bandwidth_mib_s=bandwidth,
        fill_mib=fill_mib,
        working_set_mib=round(fill_mib * rng.uniform(0.3, 0.7)),
        segments=steady(round(bandwidth * rng.uniform(1.1, 1.8), 2)),
        is_steady=False,
        auto_converge=True,
    )


_KINDS = (
    _steady("idle", 0.0, 0.02),
    _steady("quiet", 0.03, 0.2),
    _steady("middle", 0.2, 0.6),
    _steady("near the bandwidth", 0.65, 0.85),
    _steady("above the bandwidth", 1.25, 2.0),
    _hot("small hot set", 0.2, 0.6),
    _hot("hot set", 2.0, 6.0),
    _steady("large", 0.05, 0.5, 12.0, 16.0),
    _round_in_one_pass,
    _bursts("short bursts", 300, 2000),
    _bursts("long bursts", 2000, 8000),
    _with_disk("disk", 0.0, 0.05),
    _with_disk("disk of a busy guest", 0.3, 0.7),
    _auto_converge,
)
# One at most does not converge beside another: two at once come to an end, too.
_DRAIN_KINDS = (
    _steady("idle", 0.0, 0.02, 2.0, 4.0),
    _steady("quiet", 0.05, 0.2, 2.0, 6.0),
    _steady("middle", 0.3, 0.42, 2.0, 4.0),
    _steady("near the bandwidth", 0.55, 0.7, 2.0, 4.0),
    _steady("quiet", 0.05, 0.2, 2.0, 4.0),
    _hot("small hot set", 0.1, 0.3),
    _steady("middle", 0.3, 0.42, 2.0, 4.0),
    _steady("middle", 0.3, 0.42, 2.0, 4.0),
)

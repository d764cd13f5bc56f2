# SPDX-License-Identifier: Apache-2.0
"""Scenarios drawn by chance, more varied than those that somebody chose.

What a guest writes is relative to the bandwidth B. Forecasts may be fitted to ``VARIED`` (and to
the halves), never to ``HELD`` or ``FRESH``.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.corpus.scenario import FOR_EVER_MS, Action, Scenario, Segments, steady

VARIED_SEED, HELD_SEED, FRESH_SEED = 1811, 2711, 2811
COUNT = 24
_SIZES_MIB = (200, 1024)
_FIRST_PASS_SECONDS = (6.0, 13.0)
_LEAST_MIB_S, _MOST_MIB_S = 16, 90
# An emulated guest can do that on a machine with others.
_FASTEST_MIB_S = 110.0
# The completion time in the lab where nothing holds it up, and what it is held up for.
LAB_COMPLETION_SECONDS = 0.27
_HELD_UP_SECONDS = (0.2, 2.3)
# What has not ended by then is aborted.
_GIVE_UP_SECONDS = 80


@dataclass(frozen=True, slots=True)
class _Guest:
    """Paces are shares of B, the working set is one of the filled memory."""

    segments: Segments
    working_set: float
    actions: tuple[Action, ...] = ()
    disk_seconds: float = 0.0
    wobble: float = 0.0
    auto_converge: bool = False
    downtime_ms: int | None = None


_Kind = Callable[[random.Random], _Guest]


def _steady(low: float, high: float, wobble: float = 0.0) -> _Kind:
    def drawn(rng: random.Random) -> _Guest:
        pace, share = rng.uniform(low, high), rng.uniform(0.4, 0.95)
        return _Guest(steady(pace), share, wobble=wobble and rng.uniform(wobble / 2, wobble))

    return drawn


def _near(rng: random.Random) -> _Guest:
    """Within 5 % of the bandwidth, which is raised at last."""
    raised = (round(rng.uniform(18, 35), 1), "bandwidth", rng.uniform(1.25, 2.2))
    return _Guest(steady(rng.uniform(0.95, 1.05)), rng.uniform(0.4, 0.9), (raised,))


def _just_below(rng: random.Random) -> _Guest:
    return _Guest(steady(rng.uniform(0.8, 0.93)), rng.uniform(0.5, 0.95))


def _once_around(rng: random.Random) -> _Guest:
    """Its working set comes round about once in the first iteration."""
    pace = rng.uniform(0.3, 0.7)
    return _Guest(steady(pace), pace * rng.uniform(0.6, 1.25))


def _hot(rng: random.Random) -> _Guest:
    """A set about as large as what a downtime limit of 0.3 to 0.6 s permits."""
    return _Guest(steady(rng.uniform(1.3, 2.5)), rng.uniform(0.01, 0.06), downtime_ms=600)


def _bursts(low_ms: int, high_ms: int, wobble: float = 0.0) -> _Kind:
    def drawn(rng: random.Random) -> _Guest:
        burst, rest = (rng.randrange(low_ms, high_ms, 100) for _ in range(2))
        paces = ((burst, rng.uniform(0.5, 1.4)), (rest, rng.uniform(0.0, 0.2)))
        return _Guest(paces, rng.uniform(0.25, 0.7), wobble=wobble and rng.uniform(0.03, wobble))

    return drawn


def _ramp(rng: random.Random) -> _Guest:
    changes = [rng.randrange(4000, 14000, 100) for _ in range(2)]
    paces = [rng.uniform(0.05, 1.1), rng.uniform(0.05, 0.9), rng.uniform(0.02, 0.5)]
    return _Guest(tuple(zip([*changes, FOR_EVER_MS], paces, strict=True)), rng.uniform(0.3, 0.9))


def _cap_changed(low: float, high: float) -> _Kind:
    def drawn(rng: random.Random) -> _Guest:
        changed = (round(rng.uniform(5, 18), 1), "bandwidth", rng.uniform(low, high))
        return _Guest(steady(rng.uniform(0.2, 0.55)), rng.uniform(0.4, 0.9), (changed,))

    return drawn


def _busy_disk(rng: random.Random) -> _Guest:
    pace = rng.uniform(0.2, 0.75)
    return _Guest(steady(pace), rng.uniform(0.3, 0.9), disk_seconds=rng.uniform(4, 9))


def _auto_converge(rng: random.Random) -> _Guest:
    return _Guest(steady(rng.uniform(1.1, 1.7)), rng.uniform(0.2, 0.5), auto_converge=True)


_KINDS: tuple[tuple[str, _Kind], ...] = (
    ("quiet", _steady(0.03, 0.3)),
    ("middle", _steady(0.3, 0.75)),
    ("just-below", _just_below),
    ("near", _near),
    ("once-around", _once_around),
    ("once-around", _once_around),
    ("hot", _hot),
    ("wobbling", _steady(0.1, 0.5, wobble=0.3)),
    ("wobbling", _steady(0.4, 0.8, wobble=0.15)),
    ("short-bursts", _bursts(2000, 6000)),
    ("short-bursts", _bursts(2000, 6000)),
    ("long-bursts", _bursts(6000, 16000)),
    ("long-bursts", _bursts(12000, 30000)),
    ("wobbling-bursts", _bursts(2000, 12000, wobble=0.2)),
    ("ramp", _ramp),
    ("ramp", _ramp),
    ("cap-lifted", _cap_changed(1.3, 3.0)),
    ("cap-lowered", _cap_changed(0.6, 0.85)),
    ("disk-of-busy", _busy_disk),
    ("disk-of-busy", _busy_disk),
    ("middle", _steady(0.3, 0.75)),
    ("just-below", _just_below),
    ("near", _near),
    ("auto-converge", _auto_converge),
)


def draw(seed: int, label: str) -> tuple[Scenario, ...]:
    """Draw one scenario of each kind; equal seeds give equal ones."""
    rng = random.Random(seed)
    return tuple(
        _scenario(rng, f"{label}-{number:02}-{kind}", kind, how(rng))
        for number, (kind, how) in enumerate(_KINDS, 1)
    )


def _scenario(rng: random.Random, name: str, kind: str, guest: _Guest) -> Scenario:
    fill = rng.uniform(*_SIZES_MIB)
    # Large ones on fast networks, so that none takes minutes.
    bandwidth = round(fill / rng.uniform(*_FIRST_PASS_SECONDS))
    bandwidth = min(_MOST_MIB_S, max(_LEAST_MIB_S, bandwidth))
    fastest = max(pace for _, pace in guest.segments)
    bandwidth = min(bandwidth, int(_FASTEST_MIB_S / max(1.0, fastest)))
    fill = min(fill, _FIRST_PASS_SECONDS[1] * bandwidth)
    actions = tuple((at, what, round(share * bandwidth)) for at, what, share in guest.actions)
    held_up = round(rng.uniform(*_HELD_UP_SECONDS), 2) if rng.random() < 0.5 else 0.0
    scenario = Scenario(
        kind,
        name,
        memory_mib=round(fill) + 16,
        working_set_mib=max(2, round(fill * guest.working_set)),
        segments=tuple((ms, round(pace * bandwidth, 2)) for ms, pace in guest.segments),
        bandwidth_mib_s=bandwidth,
        disk_mib=round(guest.disk_seconds * bandwidth),
        downtime_ms=guest.downtime_ms,
        auto_converge=guest.auto_converge,
        actions=(*actions, (_GIVE_UP_SECONDS, "abort", 0)),
        may_end_before_actions=True,
        wobble=round(guest.wobble, 3),
    )
    # Earlier migrations took about as long.
    usual = LAB_COMPLETION_SECONDS + held_up * rng.uniform(0.95, 1.05)
    return replace(scenario, held_up_s=held_up, completion_time_s=round(usual, 2))


VARIED = draw(VARIED_SEED, "varied")
HELD = draw(HELD_SEED, "held")
# The numbers of eight kinds: middle, just-below, once-around, wobbling, bursts, a ramp, and a disk.
_FRESH_NUMBERS = (2, 3, 5, 9, 10, 12, 15, 19)
FRESH = tuple(draw(FRESH_SEED, "fresh")[number - 1] for number in _FRESH_NUMBERS)

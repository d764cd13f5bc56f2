# SPDX-License-Identifier: Apache-2.0
"""The order of things: benches side by side, each with its guests one after the other."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.before import guests
from lab.before.bench import Bench, Tried
from lab.before.guests import Drawn

_DESTINATIONS = 3

Say = Callable[[str], None]


def try_all(count: int, rng: random.Random, benches: int, say: Say) -> list[Tried]:
    """Try so many guests, on several benches at the same time."""
    benches = min(benches, count)
    bandwidths = [_bandwidths(rng) for _ in range(benches)]
    chosen = [rng.choice(bandwidths[number % benches]) for number in range(count)]
    drawn = guests.draw(rng, chosen)
    shares = [drawn[number::benches] for number in range(benches)]
    with ThreadPoolExecutor(benches) as pool:
        found = pool.map(_run, range(benches), bandwidths, shares, [say] * benches)
        return [tried for each in found for tried in each]


def _bandwidths(rng: random.Random) -> tuple[int, ...]:
    found: list[int] = []
    while len(found) < _DESTINATIONS:
        found = list(dict.fromkeys([*found, guests.draw_bandwidth(rng)]))
    return tuple(found)


def _run(number: int, bandwidths: tuple[int, ...], drawn: Sequence[Drawn], say: Say) -> list[Tried]:
    tried = []
    with Bench(number, bandwidths) as bench:
        bench.try_quiet()
        for place, each in enumerate(drawn, 1):
            found = bench.run(each)
            tried.append(found)
            say(f"{number}: {place}/{len(drawn)}  {each.text()}")
            say(f"         said: {found.before.message}")
            say(f"         seen: {_seen(found)}")
    return tried


def _seen(tried: Tried) -> str:
    seen = tried.seen
    how = "completed" if seen.completed else "had not ended"
    return f"{how} after {seen.total_seconds:.1f} s, in iteration {seen.iterations}"

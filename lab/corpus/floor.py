# SPDX-License-Identifier: Apache-2.0
"""Compute the least error that a forecast of the time left can have, as far as arithmetic shows it.

Many guests are computed (:mod:`lab.corpus.computed`). Of each sample the present forecast is
corrected by those samples of others whose iterations had gone most alike: all are of its kind, or
are the same guest in another phase of its bursts. The correction is the one with the least mean
error among those, as a share of what is left. So it knows the kind, or the guest, and what counters
have shown, and nothing else.
"""

import argparse
import dataclasses
import functools
import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from lab.corpus import computed, drawn
from lab.corpus.accuracy import SEEDS
from lab.corpus.drawn import LAB_COMPLETION_SECONDS
from lab.corpus.scenario import Scenario
from lab.corpus.scored import RULES
from migprog.recording import format as recordings
from migprog.recording.ground_truth import Group, truth
from migprog.recording.replay import replay
from migprog.recording.score import FLOOR_SECONDS, quantile

_KIND_SEEDS, _PHASES = range(2001, 2121), 40
_NEAREST_OF_KIND, _NEAREST_PHASES = 25, 5
_RATIOS, _MOST_ITERATIONS = 3, 8
# How much the parts of a place count: the number of the iteration, the size of each of the last
# ones as a share of the one before, how much of this one is sent, its length, the completion time.
_WEIGHTS = (0.3, *(1.0,) * _RATIOS, 0.7, 0.3, 0.5)


class Sample(NamedTuple):
    """Where a migration was, by its counters; what was forecast, and the time left."""

    place: tuple[float, ...]
    eta_seconds: float
    left_seconds: float


class Way(NamedTuple):
    """The samples of a migration after its second iteration began."""

    group: Group
    samples: list[Sample]


def way(scenario: Scenario) -> Way | None:
    """Compute a migration; None if it does not complete."""
    header, *rows = computed.rows(scenario)
    recording = recordings.Recording(scenario.name, header, tuple(rows))
    facts = truth(recording)
    if facts is None or not facts.completed:
        return None
    completion = scenario.completion_time_s or LAB_COMPLETION_SECONDS
    etas = {line.t: line.eta_seconds for line in replay(recording, RULES, completion).lines}
    starts = [(each.t, each.remaining_bytes) for each in facts.iteration_starts]
    first = min(row["t"] for row in rows if row.get("event") == "iteration")
    known = [(first, float(recording.memory_size_bytes or 0)), *starts]
    samples = []
    for row in rows:
        if row["kind"] != "sample" or not facts.second_iteration_start <= row["t"] < facts.end:
            continue
        eta = etas.get(row["t"])
        if row["t"] < facts.settled_at or not eta:
            continue
        so_far = [each for each in known if each[0] <= row["t"]]
        (before_at, before), (at, size) = so_far[-2:]
        length = max(0.1, size * (at - before_at) / before)
        ratios = [math.log((b + 1) / (a + 1)) for (_, a), (_, b) in itertools.pairwise(so_far)]
        recent = [*reversed(ratios), *(0.0,) * _RATIOS][:_RATIOS]
        remaining = row["stats"]["memory_remaining"] / (size + 1)
        count = min(len(starts), len(so_far) - 1, _MOST_ITERATIONS)
        place = (count, *recent, remaining, math.log(length), completion / (length + completion))
        weighed = tuple(w * x for w, x in zip(_WEIGHTS, place, strict=True))
        samples.append(Sample(weighed, eta, facts.end - row["t"]))
    return Way(facts.group, samples)


def forecast(sample: Sample, others: Iterable[Sample], count: int) -> float:
    """The seconds left, by those of the others that are nearest to a sample."""
    distance = functools.partial(math.dist, sample.place)
    nearest = heapq.nsmallest(count, others, key=lambda each: distance(each.place))
    scaled = sorted(each.left_seconds / each.eta_seconds * sample.eta_seconds for each in nearest)
    weights = [1 / max(FLOOR_SECONDS, seconds) for seconds in scaled]
    half = sum(weights) / 2
    sums = itertools.accumulate(weights)
    return next(seconds for seconds, total in zip(scaled, sums, strict=True) if total >= half)


def errors(of: Way, others: Sequence[Sample], count: int) -> list[float]:
    """The errors of a migration's forecasts, as shares of the time left."""
    if not others:
        return []
    return [
        abs(forecast(each, others, count) - each.left_seconds)
        / max(FLOOR_SECONDS, each.left_seconds)
        for each in of.samples
    ]


def _scenarios(seeds: range) -> Iterator[Scenario]:
    for seed in seeds:
        yield from (s for s in drawn.draw(seed, f"computed-{seed}") if not s.auto_converge)


def _in_other_phases(scenario: Scenario) -> list[Sample]:
    again = (
        way(dataclasses.replace(scenario, name=f"{scenario.name}-{phase}"))
        for phase in range(_PHASES)
    )
    return [sample for each in again if each for sample in each.samples]


def main() -> None:
    """Print both floors, of the computed guests that ``accuracy`` scores."""
    parser = argparse.ArgumentParser(prog="python -m lab.corpus.floor", description=__doc__)
    parser.parse_args()
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for scenario in _scenarios(_KIND_SEEDS):
        found = way(scenario)
        by_kind[scenario.physics] += found.samples if found else []
    of_kind: dict[tuple[str, str], list[float]] = defaultdict(list)
    of_guest: dict[tuple[str, str], list[float]] = defaultdict(list)
    for scenario in _scenarios(SEEDS):
        found = way(scenario)
        if found is None:
            continue
        kind = errors(found, by_kind[scenario.physics], _NEAREST_OF_KIND)
        guest = errors(found, _in_other_phases(scenario), _NEAREST_PHASES)
        for name in ("all", scenario.physics):
            of_kind[found.group, name] += kind
            of_guest[found.group, name] += guest
    print(f"{'':28}{'kind known':>18}{'guest known':>18}{'samples':>9}")
    for key in sorted(of_kind):
        shares = "".join(
            f"{100 * (quantile(of[key], share) or 0.0):8.1f}%"
            for of in (of_kind, of_guest)
            for share in (0.5, 0.9)
        )
        print(f"{', '.join(key):28}{shares}{len(of_kind[key]):9}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Fit the constants of the running forecast to recordings, and cross-validate that.

A constant takes the best of its candidates while the others stay, one after the other, until none
changes. Equal recordings give equal constants.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

from lab.corpus.scored import Case, score_all
from migprog.core.forecast import dirty_rate, estimate
from migprog.recording.ground_truth import Group
from migprog.recording.score import Score, figures

FOLDS = 5
_ROUNDS = 2
# The goals by group: the median error, the 90th percentile; and of all, how often the range holds.
_GOALS = {Group.STEADY: (0.04, 0.12), Group.CHANGING: (0.20, 0.80)}
_HELD, _HELD_TOLERANCE = 0.83, 0.07
# Wrong verdicts weigh more than any error.
_WRONG = 1.0

Values = tuple[float, ...]


class Constant(NamedTuple):
    module: ModuleType
    name: str
    candidates: Values


CONSTANTS = (
    Constant(dirty_rate, "_AVERAGED_SECONDS", (1.0, 5.0)),
    Constant(estimate, "_LIMIT_SHARE", (0.93, 0.96, 1.0)),
    Constant(estimate, "_CHANGED", (0.2, 0.4, 0.7)),
    Constant(estimate, "_PLATEAU_LASTS", (0.1, 0.15, 0.3)),
    Constant(estimate, "_SPREAD_BY_SURPRISE", (1.0, 1.5, 2.0)),
    Constant(estimate, "_FIRST_SPREAD", (0.4, 0.6, 0.9)),
)


def present() -> Values:
    """The constants as they are."""
    return tuple(getattr(each.module, each.name) for each in CONSTANTS)


@contextmanager
def in_force(values: Values) -> Iterator[None]:
    """Have the forecast use these constants."""
    before = present()
    try:
        _set(values)
        yield
    finally:
        _set(before)


def _set(values: Values) -> None:
    for constant, value in zip(CONSTANTS, values, strict=True):
        setattr(constant.module, constant.name, value)


def scores(cases: Sequence[Case], values: Values) -> list[Score]:
    """The scores of cases by these constants."""
    return list(_scores(tuple(cases), values))


@functools.cache
def _scores(cases: tuple[Case, ...], values: Values) -> tuple[Score, ...]:
    with in_force(values):
        return tuple(score_all(cases))


def loss(sets: Sequence[Sequence[Score]]) -> float:
    """How far the figures are from the goals: the mean over sets of scores."""
    return sum(map(_loss, sets)) / len(sets)


def _loss(found: Sequence[Score]) -> float:
    total = _WRONG * sum(bool(each.wrong_verdict) for each in found)
    for group, goals in _GOALS.items():
        measured = figures([each for each in found if each.group is group])
        for key, goal in zip(("eta_error_median", "eta_error_p90"), goals, strict=True):
            error = measured[key]
            total += error / goal if isinstance(error, float) else 0.0
        held = measured["in_range"]
        if isinstance(held, float):
            total += abs(held - _HELD) / _HELD_TOLERANCE
    return total


def fit(sets: Sequence[Sequence[Case]], leave_out: frozenset[str] = frozenset()) -> Values:
    """Return the constants that bring these sets of cases nearest to the goals, each with the same
    weight. Cases named in ``leave_out`` do not count."""

    def lost(values: Values) -> float:
        return loss(
            [[s for s in scores(cases, values) if s.name not in leave_out] for cases in sets]
        )

    best = present()
    for _ in range(_ROUNDS):
        before = best
        for place, constant in enumerate(CONSTANTS):
            others = [(*best[:place], value, *best[place + 1 :]) for value in constant.candidates]
            best = min((best, *others), key=lost)
        if best == before:
            break
    return best


def folds(sets: Sequence[Sequence[Case]]) -> list[frozenset[str]]:
    """Return the names of each fold's cases: of each set every fifth."""
    names = [sorted(case.name for case in cases) for cases in sets]
    return [
        frozenset(name for each in names for name in each[number::FOLDS]) for number in range(FOLDS)
    ]


def cross_validate(sets: Sequence[Sequence[Case]]) -> tuple[list[list[Score]], list[Values]]:
    """Score each case by constants that were fitted without its fold; and return these."""
    found: list[list[Score]] = [[] for _ in sets]
    fitted = []
    for fold in folds(sets):
        values = fit(sets, leave_out=fold)
        fitted.append(values)
        for cases, into in zip(sets, found, strict=True):
            into += [each for each in scores(cases, values) if each.name in fold]
    return found, fitted

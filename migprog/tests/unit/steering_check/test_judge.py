# SPDX-License-Identifier: Apache-2.0
"""The judge of steering-check: it must see each kind of wrong, and nothing where all is right."""

import dataclasses

import pytest

from lab.steering import judge
from lab.steering.course import Action, Course, Ending
from lab.steering.judge import Pair

RAISED = (Action(6.0, "downtime_ms", 800),)


def course(ending, total, actions=(), downtime=0.2, first=4.0):
    completed = ending is Ending.COMPLETED
    return Course(
        ending=ending,
        total_seconds=total,
        downtime_seconds=downtime if completed else None,
        first_iteration_seconds=first,
        actions=tuple(actions),
    )


def completed(total, actions=(), **values):
    return course(Ending.COMPLETED, total, actions, **values)


def pair(untuned, steered, **values):
    return Pair(
        guest="1",
        policy="gentle",
        untuned=untuned,
        steered=steered,
        deadline_seconds=40.0,
        **values,
    )


BOUND = course(Ending.BOUND, 50.0)
ABORTED = course(Ending.ABORTED, 20.0, [Action(20.0, "abort")])


@pytest.mark.parametrize(
    ("found", "figures"),
    [
        (pair(completed(10.0), completed(10.2)), {}),
        (pair(completed(10.0), completed(7.0, RAISED)), {"needless_actions": 1}),
        (pair(completed(39.0), completed(7.0, RAISED)), {}),
        (pair(completed(45.0), completed(7.0, RAISED)), {}),
        (pair(completed(45.0), ABORTED), {}),
        (pair(completed(39.0), ABORTED), {"wrong_aborts": 1}),
        (pair(completed(10.0), ABORTED), {"wrong_aborts": 1, "needless_actions": 1}),
        (pair(BOUND, ABORTED), {"hopeless": 1, "hopeless_given_up": 1}),
        (pair(BOUND, completed(9.0, RAISED)), {"hopeless": 1, "hopeless_completed": 1}),
        (pair(BOUND, BOUND), {"hopeless": 1, "hopeless_left": 1}),
        (pair(BOUND, BOUND, enforces=False), {}),
        (pair(BOUND, ABORTED, enforces=False), {"needless_actions": 1, "hopeless_given_up": 1}),
        (
            pair(BOUND, completed(9.0, RAISED), recorded_actions=0),
            {"hopeless": 1, "hopeless_completed": 1, "unrecorded_actions": 1},
        ),
        (pair(BOUND, completed(9.0, RAISED), recorded_actions=1), None),
        (pair(completed(9.0), course(Ending.FAILED, 3.0)), {"failed": 1}),
    ],
)
def test_figures_count_what_happened(found, figures):
    counted = judge.figures([found])
    counts = {
        key: value
        for key, value in counted.items()
        if isinstance(value, int) and value and key not in ("runs", "compared")
    }
    assert counts == ({"hopeless": 1, "hopeless_completed": 1} if figures is None else figures)


def test_ratios_are_medians_of_those_that_an_action_changed():
    pairs = [
        pair(completed(44.0, downtime=0.2), completed(24.0, RAISED, downtime=0.25)),
        pair(completed(44.0, downtime=0.2), completed(14.0, RAISED, downtime=0.3)),
        pair(completed(44.0, downtime=0.2), completed(8.0, RAISED, downtime=0.2)),
        # No action, and one that ended with its first iteration: their ratios mean nothing.
        pair(completed(10.0), completed(12.0)),
        pair(completed(10.0, first=None), completed(10.0, RAISED)),
        pair(BOUND, completed(10.0, RAISED)),
    ]
    counted = judge.figures(pairs)
    assert counted["compared"] == 3
    assert counted["after_first_iteration_ratio"] == pytest.approx(0.25)
    assert counted["downtime_ratio"] == pytest.approx(1.25)


def test_ratios_of_no_pairs_are_unknown():
    counted = judge.figures([])
    assert counted["after_first_iteration_ratio"] is counted["downtime_ratio"] is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (pair(completed(10.0), completed(7.0, RAISED)), ["needless"]),
        (pair(completed(10.0), ABORTED), ["needless", "aborted"]),
        (pair(BOUND, BOUND), ["neither"]),
        (pair(BOUND, completed(9.0, RAISED), recorded_actions=0), ["record"]),
        (pair(course(Ending.FAILED, 3.0), completed(9.0)), ["failed"]),
        (pair(BOUND, ABORTED), []),
    ],
)
def test_faults_say_each_wrong_in_words(found, words):
    said = judge.faults(found)
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


def test_time_after_the_first_iteration_is_nothing_where_it_was_the_last():
    assert completed(9.0, first=None).after_first_iteration_seconds == 0
    assert (
        dataclasses.replace(completed(9.0), total_seconds=10.5).after_first_iteration_seconds == 6.5
    )

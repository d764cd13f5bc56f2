# SPDX-License-Identifier: Apache-2.0
"""How constants of the forecast are fitted and cross-validated, on a few computed guests."""

import dataclasses

from lab.corpus import fit, scored

CASES = scored.of_computed(range(1, 2))[:8]


def test_constants_are_in_force_for_as_long_as_asked():
    before = fit.present()
    with fit.in_force(tuple(value / 2 for value in before)):
        assert fit.present() != before
    assert fit.present() == before


def test_each_case_is_in_one_fold():
    folds = fit.folds([CASES])
    assert len(folds) == fit.FOLDS
    assert sorted(name for fold in folds for name in fold) == sorted(case.name for case in CASES)


def test_equal_cases_give_equal_scores():
    again = scored.of_computed.__wrapped__(range(1, 2))[:8]
    assert scored.score_all(again) == scored.score_all(CASES)


def test_a_wrong_verdict_weighs():
    found = scored.score_all(CASES)
    wrong = [dataclasses.replace(found[0], wrong_verdict=True), *found[1:]]
    assert fit.loss([wrong]) == fit.loss([found]) + 1

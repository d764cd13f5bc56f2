# SPDX-License-Identifier: Apache-2.0
"""Print how good the running forecast is, in the tables of doc/source/forecast.rst.

``python -m lab.corpus.validate`` scores the present constants; ``--fit`` fits them to all but what
is held back and prints them; ``--folds`` cross-validates that in five parts. No guest runs.
"""

import argparse
from collections.abc import Sequence

from lab.corpus import files, fit, scored
from migprog.recording.ground_truth import Group
from migprog.recording.score import Score, figures

# What is computed.
SEEDS = range(201, 207)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m lab.corpus.validate")
    parser.add_argument("--fit", action="store_true", help="fit the constants, and print them")
    parser.add_argument("--folds", action="store_true", help="cross-validate that")
    arguments = parser.parse_args()
    fitted = fitted_sets()
    values = fit.fit(list(fitted.values())) if arguments.fit else fit.present()
    if arguments.fit:
        print(_text(values))
    print(_HEAD)
    for name, cases in (fitted | held_sets()).items():
        _print(name, fit.scores(cases, values))
    if arguments.folds:
        found, constants = fit.cross_validate(list(fitted.values()))
        for name, scores in zip(fitted, found, strict=True):
            _print(f"{name}, folds", scores)
        for each in constants:
            print(_text(each))


def fitted_sets() -> dict[str, Sequence[scored.Case]]:
    """What constants are fitted to: each set counts the same."""
    return {folder: scored.of_folder(folder) for folder in (*files.HALVES, "varied")}


def held_sets() -> dict[str, Sequence[scored.Case]]:
    """What no constants are fitted to."""
    return {"held": scored.of_folder("held"), "computed": scored.of_computed(SEEDS)}


_HEAD = f"{'':26}{'median':>8}{'p90':>8}{'range':>8}{'no eta':>8}{'samples':>9}{'recordings':>12}"


def _print(name: str, scores: Sequence[Score]) -> None:
    for group in (Group.STEADY, Group.CHANGING):
        of_group = [each for each in scores if each.group is group]
        found = figures(of_group)
        late = sum(len(each.eta_errors_late) for each in of_group)
        keys = ("eta_error_median", "eta_error_p90", "in_range", "without_eta")
        shares = "".join(_percent(found[key]) for key in keys)
        print(f"{name + ', ' + group:26}{shares}{late:9}{len(of_group):12}")
    every = figures(scores)
    print(f"{name}: {every['verdicts_wrong']} of {every['verdicts_judged']} verdicts wrong")


def _percent(share: object) -> str:
    return f"{100 * share:6.1f} %" if isinstance(share, float) else f"{'-':>8}"


def _text(values: fit.Values) -> str:
    pairs = zip(fit.CONSTANTS, values, strict=True)
    return ", ".join(f"{constant.name} {value:g}" for constant, value in pairs)


if __name__ == "__main__":
    main()

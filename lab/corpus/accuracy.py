# SPDX-License-Identifier: Apache-2.0
"""Print how good the running forecast is, in the tables of doc/source/forecast.rst.

``python -m lab.corpus.accuracy`` scores the present constants; ``--fit`` fits them to all but what
is held back and prints them; ``--folds`` cross-validates that in five parts; ``--by-recording``
prints each recording of some folders. No guest runs.
"""

import argparse
import random
import statistics
from collections.abc import Mapping, Sequence

from lab.corpus import files, fit, scored
from migprog.recording.ground_truth import Group
from migprog.recording.score import Score, figures, quantile

# What is computed: for the fit; to report on; and from seeds drawn after the method was chosen.
FIT_SEEDS, SEEDS, FRESH_SEEDS = range(301, 304), range(201, 207), range(7401, 7407)
# Medians of so many draws of as many recordings show how much a figure owes to chance.
_DRAWS = 400


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m lab.corpus.accuracy")
    parser.add_argument("--fit", action="store_true", help="fit the constants, and print them")
    parser.add_argument("--folds", action="store_true", help="cross-validate that")
    parser.add_argument("--by-recording", nargs="+", metavar="FOLDER", choices=files.RECORDED)
    arguments = parser.parse_args()
    if arguments.by_recording:
        for folder in arguments.by_recording:
            _print_recordings(scored.of_folder(folder))
        return
    fitted = fitted_sets()
    values = fit.fit(list(fitted.values())) if arguments.fit else fit.present()
    if arguments.fit:
        print(_text(values))
    print(_HEAD)
    for name, cases in {**fitted, **held_sets()}.items():
        _print(name, fit.scores(cases, values))
    if arguments.folds:
        found, constants = fit.cross_validate(list(fitted.values()))
        for name, scores in zip(fitted, found, strict=True):
            _print(f"{name}, folds", scores)
        for each in constants:
            print(_text(each))


def fitted_sets() -> Mapping[str, Sequence[scored.Case]]:
    """What constants are fitted to: each set counts the same."""
    folders = {folder: scored.of_folder(folder) for folder in (*files.HALVES, "varied")}
    return folders | {"computed to fit": scored.of_computed(FIT_SEEDS)}


def held_sets() -> Mapping[str, Sequence[scored.Case]]:
    """What no constants are fitted to."""
    folders = {folder: scored.of_folder(folder) for folder in ("held", "fresh")}
    return folders | {
        "computed": scored.of_computed(SEEDS),
        "fresh computed": scored.of_computed(FRESH_SEEDS),
    }


_KEYS = ("eta_error_median", "eta_error_p90", "in_range", "without_eta")
_HEAD = (
    f"{'':32}{'median':>8}{'p90':>8}{'range':>8}{'no eta':>8}{'alike':>8}{'by chance':>16}"
    f"{'percent':>9}{'Nova':>6}{'samples':>9}{'recordings':>12}"
)


def _print(name: str, scores: Sequence[Score]) -> None:
    for group in (Group.STEADY, Group.CHANGING):
        of_group = [each for each in scores if each.group is group]
        found = figures(of_group)
        late = sum(len(each.eta_errors_late) for each in of_group)
        shares = "".join(_percent(found[key]) for key in _KEYS) + _percent(median_alike(of_group))
        low, high = (f"{100 * share:.0f}" for share in by_chance(of_group))
        percent = "".join(
            f"{found[key]:{width}.1f}" if found[key] is not None else f"{'-':>{width}}"
            for key, width in (("displayed_distance", 9), ("nova_distance", 6))
        )
        print(
            f"{name + ', ' + group:32}{shares}{f'{low} to {high} %':>16}{percent}{late:9}"
            f"{len(of_group):12}"
        )
    every = figures(scores)
    print(f"{name}: {every['verdicts_wrong']} of {every['verdicts_judged']} verdicts wrong")


def median_alike(scores: Sequence[Score]) -> float | None:
    """Return the median of the recordings' median errors: a long one counts as a short one."""
    medians = [quantile(each.eta_errors_late, 0.5) for each in scores]
    known = [median for median in medians if median is not None]
    return statistics.median(known) if known else None


def by_chance(scores: Sequence[Score]) -> tuple[float, float]:
    """Return the range of 80 % of the median error, if as many recordings were drawn from these."""
    rng = random.Random(0)
    medians = []
    for _ in range(_DRAWS):
        drawn = rng.choices(scores, k=len(scores)) if scores else []
        errors = [error for each in drawn for error in each.eta_errors_late]
        medians.append(quantile(errors, 0.5) or 0.0)
    return quantile(medians, 0.1) or 0.0, quantile(medians, 0.9) or 0.0


def _print_recordings(cases: Sequence[scored.Case]) -> None:
    print(
        f"{'':32}{'group':10}{'samples':>8}{'median':>8}{'p90':>8}{'too long':>10}{'range':>8}"
        f"{'percent':>9}{'Nova':>6}{'of bandwidth':>14}"
    )
    for case in cases:
        score, header = case.score(), case.recording.header
        errors, shares = score.eta_errors_late, ""
        if errors:
            found = figures([score])
            shares = "".join(_percent(found[key]) for key in _KEYS[:2])
            longer = statistics.fmean(score.eta_late_is_longer)
            shares += f"{100 * longer:8.0f} %{_percent(found['in_range'])}"
            if score.displayed_distances:
                shares += f"{found['displayed_distance']:9.1f}{found['nova_distance']:6.1f}"
            else:
                shares += f"{'-':>9}{'-':>6}"
        paces = sorted({pace / header["bandwidth_mib_s"] for _, pace in header["segments"]})
        text = " ".join(f"{pace:.2f}" for pace in paces)
        print(f"{case.name:32}{score.group:10}{len(errors):8}{shares:57}{text:>14}")


def _percent(share: object) -> str:
    return f"{100 * share:6.1f} %" if isinstance(share, float) else f"{'-':>8}"


def _text(values: fit.Values) -> str:
    pairs = zip(fit.CONSTANTS, values, strict=True)
    return ", ".join(f"{constant.name} {value:g}" for constant, value in pairs)


if __name__ == "__main__":
    main()

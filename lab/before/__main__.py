# SPDX-License-Identifier: Apache-2.0
"""Forecasts the migrations of guests drawn by chance before they start, and compares.

With --drain it plans the drain of a host, carries the plan out, and compares it with moving two at
once, the largest first. The exit status is 0 if the figures are within their limits, 1 if they are
not, 2 if it could not be tried.
"""

import argparse
import json
import pathlib
import random

from lab.before import computed, corpus_forecasts, drain, first_iteration, run, table
from lab.judged_run import Document, carry_out, say

_TRIED, _DRAINED = 14, 8
# The drains by the plan, and as many as usual: medians are compared.
_ROUNDS = 3


def main() -> None:
    arguments = _parser().parse_args()
    carry_out("before-check", arguments, lambda seed: _run(arguments, seed))


def _run(arguments: argparse.Namespace, seed: int) -> Document:
    say(f"seed {seed}")
    rng = random.Random(seed)
    if arguments.drain:
        known = {
            "seed": seed,
            **drain.try_all(arguments.count or _DRAINED, rng, arguments.rounds, say),
        }
        print(json.dumps(known, indent=2))
        return {**known, "right": drain.is_right(known)}
    count = arguments.count or _TRIED
    if arguments.first_iteration:
        known = first_iteration.figures(rng, count)
        print(first_iteration.text(known))
        return {"seed": seed, **known, "right": True}
    if arguments.corpus:
        tried = corpus_forecasts.try_all(rng, count)
    elif arguments.computed:
        tried = computed.try_all(rng, count)
    else:
        tried = run.try_all(count, rng, arguments.jobs, say)
    known = table.figures(tried, seed)
    print(table.text(known))
    return {**known, "right": arguments.corpus or table.is_right(known)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/before-check", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add(
        "--count",
        type=int,
        metavar="N",
        help=f"number of guests to draw; default {_TRIED}, and {_DRAINED} with --drain",
    )
    add("--seed", type=int, metavar="S", help="of all that is by chance")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the figures")
    add(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="hosts that are tried side by side; default %(default)d",
    )
    add("--drain", action="store_true", help="plan a drain, and carry it out")
    add(
        "--rounds",
        type=int,
        default=_ROUNDS,
        metavar="N",
        help="with --drain: drains by the plan, and as many as usual; default %(default)d",
    )
    add(
        "--corpus",
        action="store_true",
        help="forecast the recordings of the corpus, each N times, from simulated measurements; "
        "no guest runs, and no figure has a limit",
    )
    add(
        "--first-iteration",
        action="store_true",
        help="replay the recordings of the corpus, each N times, with what a conductor would have "
        "known of their guests, and without; no guest runs, and no figure has a limit",
    )
    add(
        "--computed",
        action="store_true",
        help="compute the measurements and the migrations of the guests that are drawn; none runs",
    )
    return parser


if __name__ == "__main__":
    main()

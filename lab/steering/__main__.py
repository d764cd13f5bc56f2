# SPDX-License-Identifier: Apache-2.0
"""Migrates guests drawn by chance, untuned and steered by each policy of a real agent.

No policy may act where a migration ends by itself in time, or abort it; each must end what would
not have ended. With an option of a guest whose course is known, only those are tried. The exit
status is 0 if all was right, 1 if something was not, 2 if it could not be tried.
"""

import argparse
import pathlib
import random
import tempfile
from collections.abc import Iterator, Sequence

from lab.judged_run import Document, carry_out, say
from lab.steering import guests, known_courses, table
from lab.steering.known_courses import Proof
from lab.steering.policies import GENTLE, POLICIES, POST_COPY, Policy
from lab.steering.run import Runner


def main() -> None:
    arguments = _parser().parse_args()
    carry_out("steering-check", arguments, lambda seed: _run(arguments, seed))


def _run(arguments: argparse.Namespace, seed: int) -> Document:
    rng = random.Random(seed)
    chosen = _policies(arguments)
    say(f"seed {seed}: starting two hosts and an agent, untuned and for each policy")
    with tempfile.TemporaryDirectory(prefix="migprog-steering-") as temporary:
        directory = arguments.keep_logs or pathlib.Path(temporary)
        with Runner(chosen, directory, arguments.jobs, say) as runner:
            if _has_proofs(arguments):
                return _known(list(_proofs(arguments, runner, rng)), seed)
            shapes = [guests.draw(rng) for _ in range(arguments.count)]
            known = table.figures(list(runner.try_all(shapes)), seed)
    print(table.text(known))
    return {**known, "right": table.is_right(known)}


def _policies(arguments: argparse.Namespace) -> Sequence[Policy]:
    """Return those that are needed."""
    if arguments.policy:
        return [policy for policy in POLICIES if policy.text in arguments.policy]
    if not _has_proofs(arguments) or arguments.converging:
        return POLICIES
    return [GENTLE, POST_COPY] if arguments.hopeless else [GENTLE]


def _has_proofs(arguments: argparse.Namespace) -> bool:
    names = ("kubevirt", "converging", "needs_downtime", "hopeless", "nova")
    return any(getattr(arguments, name) for name in names)


def _proofs(arguments: argparse.Namespace, runner: Runner, rng: random.Random) -> Iterator[Proof]:
    if arguments.kubevirt:
        yield known_courses.kubevirt(runner, arguments.kubevirt)
    if arguments.needs_downtime:
        yield known_courses.needs_downtime(runner)
    if arguments.hopeless:
        yield known_courses.hopeless(runner)
    if arguments.nova:
        yield known_courses.nova(runner)
    if arguments.converging:
        yield known_courses.converging(runner, arguments.converging, rng)


def _known(found: Sequence[Proof], seed: int) -> Document:
    for proof in found:
        print(f"{proof.name}: {'; '.join(proof.wrong) or 'right'}")
    return {
        "seed": seed,
        **{proof.name: {"wrong": list(proof.wrong), **proof.figures} for proof in found},
        "right": not any(proof.wrong for proof in found),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/steering-check", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add(
        "--count",
        type=int,
        default=10,
        metavar="N",
        help="number of guests to draw; default %(default)d",
    )
    add("--seed", type=int, metavar="S", help="of all that is by chance")
    add("--json", type=pathlib.Path, metavar="FILE", help="write the figures")
    names = [policy.text for policy in POLICIES]
    add(
        "--policy",
        action="append",
        choices=names,
        metavar="NAME",
        help="only these, each an option",
    )
    add(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="migrations at the same time; default %(default)d",
    )
    add("--keep-logs", type=pathlib.Path, metavar="DIR", help="of all agents")
    known = parser.add_argument_group("guests whose course is known, instead of drawn ones")
    add = known.add_argument
    add("--kubevirt", type=int, metavar="N", help="dirties 80 %% of the bandwidth, so often")
    add("--converging", type=int, metavar="N", help="so many that converge by themselves")
    add("--needs-downtime", action="store_true", help="needs a higher downtime limit")
    add("--hopeless", action="store_true", help="would need a downtime of 6 s")
    add("--nova", action="store_true", help="needs more downtime, and Nova lowers it again")
    return parser


if __name__ == "__main__":
    main()

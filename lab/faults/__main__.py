# SPDX-License-Identifier: Apache-2.0
"""``tools/faults``: real migrations while parts fail, on RabbitMQ and MariaDB.

After each fault every migration must have one record, with its true outcome and final figures, and
a percentage that never fell.
"""

from migprog import concurrency

concurrency.prefer_threads()

import argparse  # noqa: E402
import pathlib  # noqa: E402

from lab import judged_run  # noqa: E402
from lab.faults import kinds, table  # noqa: E402
from lab.faults.api_reader import ApiReader  # noqa: E402
from lab.faults.run import Run, Settings  # noqa: E402
from lab.faults.site import Site  # noqa: E402

_DESCRIPTION = (
    "Run real migrations while parts of the deployment fail, on real libvirt hosts, RabbitMQ and "
    "MariaDB. Check that each migration has one record, with its true outcome and figures."
)


def main() -> None:
    arguments = _parser().parse_args()

    def measure(seed: int, directory: pathlib.Path) -> judged_run.Document:
        every = kinds.every(arguments.stopped_seconds)
        settings = Settings(
            kinds=[kind for kind in every if not arguments.kind or kind.name in arguments.kind],
            count=arguments.count or len(every),
            seed=seed,
            at_once=arguments.at_once,
            unwatched_every=arguments.unwatched_every,
        )
        judged_run.say(f"seed {seed}: starting two hosts, RabbitMQ, MariaDB and migprog")
        with Site(directory) as site, ApiReader(site.deployment.api) as reader:
            return table.document(Run(site, reader, settings, judged_run.say).run())

    judged_run.run("faults", arguments, measure, table.text)


def _parser() -> argparse.ArgumentParser:
    parser = judged_run.parser("faults", _DESCRIPTION)
    parser.add_argument(
        "--count", type=int, metavar="N", help="number of faults; default: one of each kind"
    )
    parser.add_argument(
        "--kind",
        action="append",
        choices=[kind.name for kind in kinds.every(0)],
        metavar="KIND",
        help="only faults of this kind; may be given several times: "
        + "; ".join(kind.name for kind in kinds.every(0)),
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=3,
        metavar="N",
        help="migrations during each fault; default %(default)s",
    )
    parser.add_argument(
        "--unwatched-every",
        type=int,
        default=20,
        metavar="N",
        help="after so many faults one round runs without agents, to compare durations; 0: only "
        "the first round; default %(default)s",
    )
    parser.add_argument(
        "--stopped-seconds",
        type=float,
        default=60,
        metavar="S",
        help='how long "RabbitMQ stopped" stops RabbitMQ; default %(default)g',
    )
    return parser


if __name__ == "__main__":
    main()

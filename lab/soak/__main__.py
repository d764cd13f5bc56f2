# SPDX-License-Identifier: Apache-2.0
"""``tools/soak``: thousands of short migrations; each must be stored once, and nothing may grow.

Agents, conductor, RabbitMQ and MariaDB are real; a stand-in for libvirt simulates the migrations.
"""

import argparse
import pathlib

from lab import judged_run
from lab.soak import table
from lab.soak.plan import Ending
from lab.soak.run import Settings, soak

_DESCRIPTION = (
    "Run thousands of short simulated migrations through real processes. Check that each is stored "
    "once, as it ended, and that memory, descriptors and threads of the processes do not grow."
)
_MAX_PER_SECOND = 1000
# With fewer a process that is new still grows, and not by a leak.
_LEAST_WARM_UP = 1500


def main() -> None:
    arguments = _parser().parse_args()

    def measure(seed: int, directory: pathlib.Path) -> judged_run.Document:
        warm_up = arguments.warm_up
        settings = Settings(
            migrations=arguments.migrations,
            seed=seed,
            per_second=arguments.per_second,
            warm_up=_warm_up(arguments.migrations) if warm_up is None else warm_up,
            without=tuple(arguments.without),
            leak_bytes=arguments.leak_bytes,
            leak_descriptors=arguments.leak_descriptors,
        )
        judged_run.say(f"seed {seed}: starting RabbitMQ, MariaDB and migprog")
        return table.document(soak(settings, directory, judged_run.say), arguments.tolerance)

    judged_run.run("soak", arguments, measure, table.text)


def _parser() -> argparse.ArgumentParser:
    parser = judged_run.parser("soak", _DESCRIPTION)
    parser.add_argument(
        "--migrations",
        type=_count,
        default=5000,
        metavar="N",
        help="number of migrations; default %(default)s",
    )
    parser.add_argument(
        "--per-second",
        type=_rate,
        default=10,
        metavar="R",
        help="migrations that begin each second, half of them in each direction; default "
        "%(default)s",
    )
    parser.add_argument(
        "--warm-up",
        type=int,
        metavar="N",
        help="measure after so many migrations have ended; default: a third of all, at least "
        f"{_LEAST_WARM_UP}",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1,
        metavar="T",
        help="multiply the permitted growth by T: a short run cannot detect a small growth",
    )
    parser.add_argument(
        "--without",
        type=Ending,
        action="append",
        default=[],
        choices=list(Ending),
        metavar="ENDING",
        help="no migration ends in this way; may be given several times: %(choices)s",
    )
    for name in ("bytes", "descriptors"):
        parser.add_argument(
            f"--leak-{name}",
            type=int,
            default=0,
            metavar="N",
            help=f"leak N {name} for each migration in the stand-in for libvirt, to see that the "
            "growth is detected",
        )
    return parser


def _warm_up(migrations: int) -> int:
    return max(_LEAST_WARM_UP, migrations // 3)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{count} must be at least 1")
    return count


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= _MAX_PER_SECOND:
        raise argparse.ArgumentTypeError(f"{rate} must be above 0, at most {_MAX_PER_SECOND}")
    return rate


if __name__ == "__main__":
    main()

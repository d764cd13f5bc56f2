# SPDX-License-Identifier: Apache-2.0
"""Thousands of short migrations: each stored once, as it was, and nothing grows.

Agents, conductor, RabbitMQ and MariaDB are real; a stand-in for libvirt makes the migrations up.
The exit status is 0 if all was right, 1 if something was not, 2 if it could not be tried.
"""

import argparse
import json
import pathlib
import random
import signal
import sys
import tempfile
import time

from lab.soak import table
from lab.soak.plan import Ending
from lab.soak.run import Result, Settings, soak

_MAX_PER_SECOND = 1000
# With fewer a process that is new still grows, and not by a leak.
_LEAST_WARM_UP = 1500


def main() -> None:
    arguments = _parser().parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    settings = Settings(
        migrations=arguments.migrations,
        seed=seed,
        per_second=arguments.per_second,
        warm_up=_warm_up(arguments.migrations) if arguments.warm_up is None else arguments.warm_up,
        without=tuple(arguments.without),
        leak_bytes=arguments.leak_bytes,
        leak_descriptors=arguments.leak_descriptors,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = _run(settings, arguments.keep_logs)
        known = table.figures(result, seed, arguments.tolerance)
    except (RuntimeError, TimeoutError, OSError, ValueError) as error:
        print(f"soak: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    for finding in known["findings"]:
        _say(f"{finding['what'].upper()}: {finding['text']}")
    print(table.text(known))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(known, indent=2) + "\n")
    sys.exit(0 if table.is_right(known) else 1)


def _run(settings: Settings, logs: pathlib.Path | None) -> Result:
    _say(f"seed {settings.seed}: starting RabbitMQ, MariaDB and migprog")
    with tempfile.TemporaryDirectory(prefix="migprog-soak-") as temporary:
        directory = pathlib.Path(temporary) if logs is None else logs
        directory.mkdir(parents=True, exist_ok=True)
        return soak(settings, directory, _say)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--migrations", type=_count, default=5000, metavar="N", help="5000 if not set"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of all that is by chance")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--per-second", type=_rate, default=10, metavar="R", help="so many set out, both ways"
    )
    parser.add_argument(
        "--warm-up", type=int, metavar="N", help="migrations that end before anything is measured"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1,
        metavar="T",
        help="times the growth that is allowed: a short run cannot tell less",
    )
    parser.add_argument(
        "--without",
        type=Ending,
        action="append",
        default=[],
        metavar="ENDING",
        help="no migration ends so, each an option; one that vanished is awaited for a minute",
    )
    for name in ("bytes", "descriptors"):
        text = f"{name} that the stand-in keeps for each migration: to see that it is found"
        parser.add_argument(f"--leak-{name}", type=int, default=0, metavar="N", help=text)
    parser.add_argument("--keep-logs", type=pathlib.Path, metavar="DIR", help="of all processes")
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

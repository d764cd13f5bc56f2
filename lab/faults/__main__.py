# SPDX-License-Identifier: Apache-2.0
"""Real migrations while things break, on RabbitMQ and MariaDB.

After each fault every migration must have one record, with its true outcome and final figures, and
a percentage that never went back. The exit status is 0 if all was right, 1 if something was not, 2
if it could not be tried.
"""

import argparse
import json
import pathlib
import random
import signal
import sys
import tempfile
import time

from lab.faults import kinds, table
from lab.faults.run import Result, Run, Settings
from lab.faults.site import Site
from lab.faults.watcher import Watcher
from lab.hosts import LabError


def main() -> None:
    arguments = _parser().parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    every = kinds.every(arguments.stopped_seconds)
    settings = Settings(
        kinds=[kind for kind in every if not arguments.kind or kind.name in arguments.kind],
        count=arguments.count or len(every),
        seed=seed,
        at_once=arguments.at_once,
        unwatched_every=arguments.unwatched_every,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = _run(settings, arguments.keep_logs)
    except (LabError, RuntimeError, TimeoutError, OSError) as error:
        print(f"faults: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    known = table.figures(result, seed)
    print(table.text(known))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(known, indent=2) + "\n")
    sys.exit(0 if table.is_right(known) else 1)


def _run(settings: Settings, logs: pathlib.Path | None) -> Result:
    _say(f"seed {settings.seed}: starting two hosts, RabbitMQ, MariaDB and migprog")
    with tempfile.TemporaryDirectory(prefix="migprog-faults-") as temporary:
        directory = pathlib.Path(temporary) if logs is None else logs
        directory.mkdir(parents=True, exist_ok=True)
        with Site(directory) as site, Watcher(site.deployment.api) as watcher:
            return Run(site, watcher, settings, _say).run()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/faults", description=(__doc__ or "").split("\n")[0]
    )
    names = [kind.name for kind in kinds.every(0)]
    parser.add_argument(
        "--count", type=int, metavar="N", help="faults; one of each kind unless told"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="of all that is by chance")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--kind", action="append", choices=names, metavar="KIND", help="only these, each an option"
    )
    for name, default, text in (
        ("at-once", 3, "migrations that a fault meets"),
        ("unwatched-every", 20, "faults after which one round goes unwatched, 0: only the first"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)
    parser.add_argument(
        "--stopped-seconds", type=float, default=60, metavar="S", help="RabbitMQ is stopped so long"
    )
    parser.add_argument("--keep-logs", type=pathlib.Path, metavar="DIR", help="of all processes")
    return parser


if __name__ == "__main__":
    main()

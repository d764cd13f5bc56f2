# SPDX-License-Identifier: Apache-2.0
"""What ``migprog watch`` takes of a processor while all migrations change between its polls.

    .venv/bin/python benchmarks/watch.py [--count 1000] [--seconds 30] [--columns 200 --lines 60]

The API is a process of its own on SQLite, the terminal a pseudo-terminal; only the client counts.
"""

import argparse
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

import psutil
import requests

from migprog import objects
from migprog.core.messages import Report
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.cli import terminal
from migprog.tests.functional.test_api import serving

_GOAL_PERCENT = 10.0
_INTERVAL_SECONDS = 2.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("count", 1000), ("seconds", 30), ("columns", 200), ("lines", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        url = f"sqlite:///{directory / 'migprog.sqlite'}"
        store = stores.ready(url)
        made = migrations.fill(store, options.count)
        with serving(directory, url, "threading") as (api, _program):
            percent, frames = _measured(options, api, store, made)
        store.close()
    print(
        f"{options.count} migrations, {options.columns} x {options.lines}, every "
        f"{_INTERVAL_SECONDS:g} s: {percent:.1f} % of a core, {frames:.1f} KiB/s to the terminal"
    )
    met = percent <= _GOAL_PERCENT
    print(f"goal: at most {_GOAL_PERCENT:g} % of a core: {'met' if met else 'NOT met'}")
    return 0 if met else 1


def _measured(
    options: argparse.Namespace, api: str, store: objects.Store, made: list[Report]
) -> tuple[float, float]:
    """Return percent of a core, and KiB a second that were written to the terminal."""
    stopped = threading.Event()

    def change() -> None:
        reports = made
        while not stopped.wait(_INTERVAL_SECONDS):
            now = time.time()
            reports = [
                stores.later(
                    each, sampled_at=now, percent=50 + each.sequence % 40, eta_seconds=60.0
                )
                for each in reports
            ]
            migrations.store(store, *reports)

    changing = threading.Thread(target=change)
    command = (terminal.PROGRAM, "--url", api, "watch", "--interval", str(_INTERVAL_SECONDS))
    with terminal.running(*command, columns=options.columns, lines=options.lines) as watching:
        watching.wait_for_text("in progress")
        changing.start()
        try:
            process = psutil.Process(watching.child.pid)
            began, used, written = time.monotonic(), _cpu_seconds(process), len(watching.written)
            while time.monotonic() - began < options.seconds:
                watching.read()
            took = time.monotonic() - began
            used = _cpu_seconds(process) - used
        finally:
            stopped.set()
            changing.join()
        (newest,) = requests.get(f"{api}/migrations?limit=1", timeout=30).json()["migrations"]
        assert newest["sequence"] > took / _INTERVAL_SECONDS / 2, "the records have not changed"
        return 100 * used / took, (len(watching.written) - written) / 1024 / took


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

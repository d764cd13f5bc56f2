# SPDX-License-Identifier: Apache-2.0
"""The plans of the API's lists among many migrations, with the rows and the time that each takes.

    .venv/bin/python benchmarks/lists.py [--database mariadb|postgresql] [--count 1000000]

The database is a private server, started for this and gone after it.
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from lab.parts import databases
from migprog import exception, objects
from migprog.tests import plans, stores

_REPEATS = 5
# Of a tenant that has half of the migrations.
_GOAL_MS = 300.0
_SLOWEST = 10


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=[*databases.RUN], default="mariadb")
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    with databases.RUN[options.database]() as server:
        store = stores.ready(server.new_database())
        plans.fill(store, options.count)
        print(f"{options.database}, {options.count} migrations, pages of {plans.LIMIT}")
        show_plans(store, options.count)
        met = every_combination(store, options.count)
        store.close()
    return 0 if met else 1


def show_plans(store: objects.Store, count: int) -> None:
    """Print the rows, the time and the indexes of each question of :func:`plans.questions`."""
    for name, ask in plans.questions(count).items():
        # Without the tables that MariaDB makes of branches.
        steps = dict.fromkeys(str(s) for s in plans.of(store, ask) if "<" not in s.table)
        spent = _median_ms(functools.partial(ask, store))
        rows = plans.rows_read(store, ask)
        print(f"{name:37} {rows:8.0f} rows {spent:8.1f} ms  {'; '.join(steps)}")


def every_combination(store: objects.Store, count: int) -> bool:
    """Ask each combination of filters and orders that is offered to the tenant with half of the
    migrations; print the slowest. Tell whether each meets the goal."""
    spent, refused = [], 0
    for asked in plans.combinations(count):
        if asked.get("project_id") != plans.LARGE:
            continue
        ask = functools.partial(objects.Migration.list, store, limit=plans.LIMIT, **asked)
        try:
            once = _ms(ask)
        except exception.NotTogether:
            refused += 1
            continue
        # One that is fast at once need not be asked again.
        spent.append((once if once < _GOAL_MS / 4 else _median_ms(ask), asked))
    spent.sort(key=lambda each: -each[0])
    print(
        f"\na tenant with half of them: {len(spent)} combinations, {refused} refused; "
        f"median {statistics.median(ms for ms, _ in spent):.1f} ms, goal {_GOAL_MS:.0f} ms at most"
    )
    for ms, asked in spent[:_SLOWEST]:
        print(f"{ms:8.1f} ms  {', '.join(f'{name}={value}' for name, value in asked.items())}")
    return spent[0][0] <= _GOAL_MS


def _median_ms(ask: Callable[[], object]) -> float:
    return statistics.median(_ms(ask) for _ in range(_REPEATS))


def _ms(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

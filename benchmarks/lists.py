# SPDX-License-Identifier: Apache-2.0
"""The plans of the API's lists among many migrations, with the rows and the time that each takes.

    .venv/bin/python benchmarks/lists.py [--database mariadb|postgresql] [--count 1000000]

The database is a private server, started for this and gone after it.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from migprog.tests import plans, stores
from migprog.tests.functional import databases

_REPEATS = 5


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=[*databases.RUN], default="mariadb")
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    with databases.RUN[options.database]() as server:
        store = stores.ready(server.new_database())
        plans.fill(store, options.count)
        print(f"{options.database}, {options.count} migrations, pages of {plans.LIMIT}")
        for name, ask in plans.questions(options.count).items():
            # Without the tables that MariaDB makes of branches.
            steps = dict.fromkeys(str(s) for s in plans.of(store, ask) if "<" not in s.table)
            times = []
            for _ in range(_REPEATS):
                begun = time.perf_counter()
                ask(store)
                times.append((time.perf_counter() - begun) * 1e3)
            rows, spent = plans.rows_read(store, ask), statistics.median(times)
            print(f"{name:32} {rows:8.0f} rows {spent:8.1f} ms  {'; '.join(steps)}")
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

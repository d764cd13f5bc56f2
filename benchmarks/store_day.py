# SPDX-License-Identifier: Apache-2.0
"""How much a database grows by a day of one migration that is reported every 5 seconds.

    .venv/bin/python benchmarks/store_day.py [--database mariadb|postgresql] [--hours 24]

Every report is stored in a transaction of its own, in virtual time. What counts is the data of all
rows that the migration has; the files grow by whole pages, which is printed as well.
"""

import argparse
import sys

import sqlalchemy as sa
from stored_fleet import Fleet

from lab.parts import databases
from migprog import objects
from migprog.db import models
from migprog.tests import stores

INTERVAL_SECONDS = 5.0
GOAL_KB = 100.0
_TABLES = (models.Migration, models.Server, models.History)


def row_bytes(store: objects.Store) -> int:
    """As text, in which every value is at least as long as a database keeps it."""
    with store.engine.connect() as connection:
        return sum(
            sum(len(str(value).encode()) for value in row if value is not None)
            for table in _TABLES
            for row in connection.execute(sa.select(table.__table__))
        )


def file_kb(store: objects.Store) -> float:
    names = [table.__tablename__ for table in _TABLES]
    question = (
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN :names"
        if store.engine.dialect.name == "postgresql"
        else "SELECT sum(file_size) FROM information_schema.innodb_sys_tablespaces "
        "WHERE substring_index(name, '/', -1) IN :names"
    )
    asked = sa.text(question).bindparams(sa.bindparam("names", names, expanding=True))
    with store.engine.connect() as connection:
        return float(connection.scalar(asked)) / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=[*databases.RUN], default="mariadb")
    parser.add_argument("--hours", type=float, default=24.0)
    options = parser.parse_args()
    print(f"{options.database}; one migration, a report every {INTERVAL_SECONDS:g} s")
    print(f"{'hours':>6} {'reports':>8} {'points':>7} {'data, kB':>9} {'files, kB':>10}")
    with databases.RUN[options.database]() as server:
        store = stores.ready(server.new_database())
        fleet = Fleet(store, 1, 1)
        fleet.fill()
        (report,) = fleet.reports
        data_kb = 0.0
        for number in range(1, 1 + int(options.hours * 3600 / INTERVAL_SECONDS)):
            age_seconds = number * INTERVAL_SECONDS
            report = stores.later(
                report,
                sampled_at=report.started_at + age_seconds,
                memory_processed_bytes=2**25 * number,
                memory_remaining_bytes=2**40 - 2**25 * number,
                dirty_bytes_per_second=2**24 + number,
            )
            stores.store(store, report, last_reported_at=report.sampled_at)
            hours = age_seconds / 3600
            if number == 1 or hours == options.hours or (hours % 6 == 0):
                (migration,) = objects.Migration.list(store)
                points = len(objects.Point.list(store, migration))
                data_kb = row_bytes(store) / 1000
                line = f"{hours:6.1f} {number:8} {points:7} {data_kb:9.1f} {file_kb(store):10.0f}"
                print(line, flush=True)
        store.close()
    met = data_kb <= GOAL_KB
    print(f"the goal of {GOAL_KB:g} kB a day is {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

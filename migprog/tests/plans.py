# SPDX-License-Identifier: Apache-2.0
"""How a database goes about the lists of the API: a store with many migrations, and its plans."""

import datetime
import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Status
from migprog.db import migration_list
from migprog.tests import stores

# One in so many is under way: the newest.
SHARE_UNDER_WAY = 97
LIMIT = 20
# The project of the older half, and a user of most; the source of the oldest third.
LARGE = "large"
OLD_HOST = "host-old"

_DIALECTS = {
    "mysql": {
        "numbers": "seq_1_to_{count}",
        "at": "TIMESTAMP '2026-01-01 00:00:00' + INTERVAL {number} SECOND",
        "analyze": "ANALYZE TABLE migrations, servers",
    },
    "postgresql": {
        "numbers": "generate_series(1, {count}) AS numbers(seq)",
        "at": "TIMESTAMP '2026-01-01 00:00:00' + {number} * INTERVAL '1 second'",
        "analyze": "ANALYZE",
    },
}


def _uuid(number: str) -> str:
    return f"concat('00000000-0000-0000-0000-', lpad(cast({number} AS char(12)), 12, '0'))"


def fill(store: objects.Store, count: int) -> None:
    """Store ``count`` migrations of 100 hosts, 500 projects and a fifth as many servers, without
    their reports.

    The older half is one project's, :data:`LARGE`. The values that the lists are asked for are not
    spread evenly: failures, a user and a host belong to the past, so that whoever looks for them
    from the newest on passes half of the table.
    """
    words = _DIALECTS[store.engine.dialect.name]
    at = words["at"].format(number="seq")
    ends = words["at"].format(number="(seq + 600)")
    running = count // SHARE_UNDER_WAY
    under_way = f"seq > {count - running}"
    migration = {
        "uuid": _uuid("seq"),
        "server_uuid": _uuid(f"mod(seq, {count // 5})"),
        "project_id": f"CASE WHEN seq <= {count // 2} THEN '{LARGE}' "
        "ELSE concat('project-', mod(seq, 500)) END",
        "user_id": f"CASE WHEN seq BETWEEN {count // 10} AND {count * 9 // 10} "
        f"THEN '{LARGE}' ELSE concat('user-', mod(seq, 500)) END",
        "nova_project_id": f"CASE WHEN seq <= {count // 2} THEN '{LARGE}' "
        "ELSE concat('project-', mod(seq, 500)) END",
        "nova_user_id": f"CASE WHEN seq BETWEEN {count // 10} AND {count * 9 // 10} "
        f"THEN '{LARGE}' ELSE concat('user-', mod(seq, 500)) END",
        "source_compute": f"CASE WHEN seq < {count // 3} THEN '{OLD_HOST}' "
        "ELSE concat('host-', mod(seq, 100)) END",
        "source_node": "'node'",
        "dest_compute": "concat('host-', mod(seq * 7 + 1, 100))",
        "sequence": "1",
        "status": f"CASE WHEN {under_way} THEN 'running' "
        f"WHEN seq < {count // 10} THEN 'failed' ELSE 'completed' END",
        "phase": "'done'",
        "verdict": f"CASE WHEN {under_way} THEN 'converging' ELSE 'ended' END",
        "ended_at": f"CASE WHEN {under_way} THEN NULL ELSE {ends} END",
        **dict.fromkeys(("started_at", "sampled_at", "last_reported_at", "created_at"), at),
        "updated_at": words["at"].format(number=f"(seq + {running})"),
    }
    server = {
        "uuid": _uuid("seq"),
        "name": "concat('server-', seq)",
        "project_id": "concat('project-', mod(seq, 500))",
        "host": "concat('host-', mod(seq, 100))",
        "migration_uuid": _uuid("seq"),
        **dict.fromkeys(("sampled_at", "migration_started_at", "created_at", "updated_at"), at),
    }
    with store.unhurried() as patient, patient.writing() as connection:
        for table, values, rows in (
            ("migrations", migration, count),
            ("servers", server, count // 5),
        ):
            numbers = words["numbers"].format(count=rows)
            connection.exec_driver_sql(
                f"INSERT INTO {table} ({', '.join(values)}) "
                f"SELECT {', '.join(values.values())} FROM {numbers}"
            )
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(words["analyze"])


def questions(count: int) -> dict[str, Callable[[objects.Store], object]]:
    """What the lists of both APIs may be asked, among ``count`` migrations."""
    middle = stores.at(_EPOCH + count // 2)
    lately = stores.at(_EPOCH + count - 50)
    long_ago = stores.at(_EPOCH + count // SHARE_UNDER_WAY + 50)
    marker = str(uuid.UUID(_number(count // 2)))

    def migrations(**asked: Any) -> Callable[[objects.Store], object]:
        return lambda store: objects.Migration.list(store, limit=LIMIT, **asked)

    def servers(**asked: Any) -> Callable[[objects.Store], object]:
        return lambda store: objects.ServerNow.list(store, limit=LIMIT, **asked)

    return {
        "migrations": migrations(),
        "marker": migrations(marker=marker),
        "host": migrations(host="host-7"),
        "host, marker": migrations(host="host-7", marker=marker),
        "host, in_progress=true": migrations(host="host-7", in_progress=True),
        "source_compute": migrations(source_compute="host-7"),
        "server_uuid": migrations(server_uuid=_number(7)),
        "project_id": migrations(project_id="project-7"),
        "project_id, status": migrations(project_id=LARGE, status=Status.FAILED),
        "project_id, status, none": migrations(project_id=LARGE, status=Status.CANCELLED),
        "project_id, host": migrations(project_id=LARGE, host=OLD_HOST),
        "project_id, user_id": migrations(project_id=LARGE, user_id=LARGE),
        "host, status": migrations(host=OLD_HOST, status=Status.FAILED),
        "project_id, in_progress=true": migrations(project_id="project-7", in_progress=True),
        "user_id": migrations(user_id="user-7"),
        "nova_user_id": migrations(nova_user_id="user-7"),
        "nova_project_id": migrations(nova_project_id="project-7"),
        "nova_project_id, status": migrations(nova_project_id=LARGE, status=Status.FAILED),
        "nova_project_id, nova_user_id": migrations(nova_project_id=LARGE, nova_user_id=LARGE),
        "nova_project_id, changed_since": migrations(nova_project_id=LARGE, changed_since=lately),
        "nova_project_id, in_progress=true": migrations(nova_project_id=LARGE, in_progress=True),
        "status": migrations(status=Status.FAILED),
        "in_progress=true": migrations(in_progress=True),
        "in_progress=false": migrations(in_progress=False),
        "verdict": migrations(verdict=Verdict.CONVERGING),
        "verdict, none": migrations(verdict=Verdict.STALLED),
        "changed_since, lately": migrations(changed_since=lately),
        "changed_since, the middle": migrations(changed_since=middle),
        "changed_since, in_progress=true": migrations(changed_since=lately, in_progress=True),
        "changed_since, host, in_progress=true": migrations(
            changed_since=lately, host="host-7", in_progress=True
        ),
        "changed_since, project_id": migrations(changed_since=lately, project_id=LARGE),
        "changed_since the middle, project_id": migrations(changed_since=middle, project_id=LARGE),
        "changed_before the middle, project_id": migrations(
            changed_before=middle, project_id=LARGE
        ),
        "changed_before, long ago": migrations(changed_before=long_ago),
        "changed_since and _before": migrations(changed_since=lately, changed_before=lately),
        "sort_key=started_at": migrations(sort_key="started_at"),
        "sort_key=started_at, marker": migrations(sort_key="started_at", marker=marker),
        "sort_key=started_at, project_id": migrations(sort_key="started_at", project_id=LARGE),
        "sort_key=ended_at, project_id, status": migrations(
            sort_key="ended_at", project_id=LARGE, status=Status.FAILED
        ),
        "sort_key=ended_at": migrations(sort_key="ended_at"),
        "sort_key=ended_at, asc, marker": migrations(
            sort_key="ended_at", descending=False, marker=marker
        ),
        "without Nova's record, ended lately": lambda store: objects.unnamed(
            store, lately.replace(tzinfo=datetime.UTC).timestamp(), LIMIT
        ),
        "servers": servers(),
        "servers, name": servers(name="server-7"),
        "servers, name, project_id": servers(name="server-7", project_id="project-7"),
        "servers, project_id": servers(project_id="project-7"),
        "servers, project_id, marker": servers(project_id="project-7", marker=_number(7)),
    }


def combinations(count: int) -> Iterator[dict[str, Any]]:
    """What :meth:`objects.Migration.list` may be asked: each filter alone and with each other, in
    each order, of the large project, of one that has nothing, and of all; refused ones too."""
    early, middle, late = (stores.at(_EPOCH + count * part) for part in (0.1, 0.5, 0.9))
    filters: list[dict[str, Any]] = [
        {"host": OLD_HOST},
        {"source_compute": OLD_HOST},
        {"user_id": LARGE},
        {"user_id": "nobody"},
        {"nova_user_id": LARGE},
        {"nova_project_id": LARGE},
        {"nova_project_id": "nobody"},
        {"server_uuid": _number(7)},
        {"status": Status.FAILED},
        {"status": Status.CANCELLED},
        {"in_progress": True},
        {"in_progress": False},
        {"verdict": Verdict.STALLED},
        {"verdict": Verdict.ENDED},
        *({"changed_since": instant} for instant in (stores.at(0), early, middle, late)),
        *({"changed_before": instant} for instant in (early, middle, late)),
    ]
    pairs = [
        one | other
        for one, other in itertools.combinations(filters, 2)
        if one.keys() != other.keys()
    ]
    for project in (LARGE, "nobody", None):
        of_project = {} if project is None else {"project_id": project}
        for sort_key in migration_list.SORT_KEYS:
            for descending in (True, False):
                for asked in [{}, *filters, *pairs]:
                    yield of_project | asked | {"sort_key": sort_key, "descending": descending}


_EPOCH = 1_767_225_600.0  # 2026-01-01


def _number(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012}"


@dataclass(frozen=True)
class Step:
    """One step of a plan: how a table is read, by which index, and how many rows."""

    table: str
    how: str
    index: str | None
    rows: float

    def __str__(self) -> str:
        return f"{self.table}: {self.how} {self.index or ''}".rstrip()


# How a table is read as a whole.
WHOLE = ("ALL", "Seq Scan")


def of(store: objects.Store, question: Callable[[objects.Store], object]) -> list[Step]:
    """The steps of the plans of the statements of a question."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        sent.append((statement, values))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        question(store)
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)
    with store.engine.connect() as connection:
        return [
            step
            for statement, values in sent
            if statement.startswith("SELECT")
            for step in _steps(connection, statement, values)
        ]


def _steps(connection: sa.Connection, statement: str, values: Any) -> Iterator[Step]:
    if connection.dialect.name == "mysql":
        for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values).mappings():
            yield Step(row["table"] or "", row["type"] or "", row["key"], float(row["rows"] or 0))
        return
    explained = connection.exec_driver_sql(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values
    ).scalar_one()
    plan = explained if isinstance(explained, list) else json.loads(explained)
    yield from _postgresql(plan[0]["Plan"])


def _postgresql(plan: dict[str, Any]) -> Iterator[Step]:
    if "Relation Name" in plan or "Index Name" in plan:
        read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield Step(
            plan.get("Relation Name", ""),
            plan["Node Type"],
            plan.get("Index Name"),
            read * plan["Actual Loops"],
        )
    for child in plan.get("Plans", []):
        yield from _postgresql(child)


def rows_read(store: objects.Store, question: Callable[[objects.Store], object]) -> float:
    """How many rows the database has read for a question."""
    if store.engine.dialect.name != "mysql":
        return sum(step.rows for step in of(store, question))
    read = 0

    # The driver's connection is one of a pool: what its session has read so far is told before and
    # after.
    def count(connection: Any) -> int:
        with connection.connection.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
            return sum(int(value) for _name, value in cursor.fetchall())

    def before(connection: Any, *_rest: Any) -> None:
        nonlocal read
        read -= count(connection)

    def after(connection: Any, *_rest: Any) -> None:
        nonlocal read
        read += count(connection)

    sa.event.listen(store.engine, "before_cursor_execute", before)
    sa.event.listen(store.engine, "after_cursor_execute", after)
    try:
        question(store)
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", before)
        sa.event.remove(store.engine, "after_cursor_execute", after)
    return read

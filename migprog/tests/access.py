# SPDX-License-Identifier: Apache-2.0
"""Who gets what on every route of both APIs, as a table: that of ``doc/source/access.rst``."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from migprog import objects
from migprog.api import app
from migprog.api.auth import PUBLIC
from migprog.api.nova import app as nova
from migprog.core.messages import Agent, Batch
from migprog.tests import stores
from migprog.tests.store_cases.measuring import measured

PAGE = pathlib.Path(__file__).resolve().parents[2] / "doc/source/access.rst"
# In every name and address of a host, in the error, as libvirt may write it, and in what says who
# asked for an action.
HOST = "rack7"
WHO = {name: f"{HOST}-{name}" for name in ("user_id", "project_id", "request_id")}
NOVA = {"OpenStack-API-Version": "compute 2.80, migration-progress latest"}
# The tokens of the table, and what each is called there.
COLUMNS = {
    "none": "no role",
    "other": "other project",
    "reader": "owner",
    "manager": "manager",
    "admin": "admin",
    "system-reader": "system reader",
}

NOTHING, OWN, ALL = "nothing", "no hosts", "all"
_BEGIN, _END = ".. begin of the table\n\n", "\n\n.. end of the table"

# The status and the body of the answer to a method, the address of a route, and a token.
Ask: TypeAlias = Callable[[str, str, str], tuple[int, str]]


def fill(store: objects.Store, server_uuid: str, project_id: str) -> objects.Migration:
    """Store an agent, and a migration under way of a server of that project, which an operator has
    tried to abort."""
    action = {"after_seconds": 1.0, "action": "abort", "state": "failed", **WHO}
    report = stores.report(
        server_uuid=server_uuid,
        project_id=project_id,
        error=f"no route to {HOST}",
        actions=(action,),
    )
    stores.store(store, report, host=f"{HOST}-a")
    stores.store(store, stores.arrival(server_uuid), host=f"{HOST}-b")
    agent = Agent(
        version="1",
        started_at=stores.START,
        report_interval_seconds=5.0,
        heartbeat_interval_seconds=30.0,
        migrations=1,
    )
    batch = Batch(host=f"{HOST}-a", node=f"{HOST}-a.lab", agent=agent)
    objects.store_batch(store, batch, stores.START)
    taken = measured(server_uuid, stores.START - 9, project_id=project_id)
    batch = Batch(host=f"{HOST}-a", node=f"{HOST}-a.lab", measurements=(taken,))
    objects.store_batch(store, batch, stores.START)
    return objects.Migration.get(store, server_uuid, report.uuid)


def routes() -> Iterator[tuple[str, Any]]:
    """The address, with its names, and the resource of each route that is not public."""
    for path, resource in app.ROUTES.items():
        if path not in PUBLIC:
            yield path, resource
    for path, novas in nova.ROUTES.items():
        yield nova.PREFIX + path, novas


def address(path: str, migration: objects.Migration) -> str:
    """The address of a route with a migration's names in it."""
    return path.format(
        server_uuid=migration.server_uuid,
        id_or_uuid=migration.uuid,
        server_id=migration.server_uuid,
        number=migration.id,
        host=migration.source_compute,
    )


def body(method: str, path: str) -> str | None:
    """What has to be sent."""
    if method != "POST":
        return None
    return '{"force_complete": null}' if path.endswith("/action") else "{}"


def table(ask: Ask, migration: objects.Migration) -> str:
    """A simple table of reStructuredText, of what each token gets of a migration."""
    # An empty first cell would go on with the row before.
    rows = [["..", *COLUMNS.values()]]
    for path, resource in routes():
        for method in resource.RULES:
            answers = [ask(method, path, token) for token in COLUMNS]
            shown = [_seen(code, text, migration) for code, text in answers]
            rows.append([f"``{method} {path}``", *shown])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _seen(code: int, text: str, migration: objects.Migration) -> str:
    """What an answer shows of the migration, in a word."""
    if code != 200:
        assert HOST not in text
        return str(code)
    if HOST in text:
        return ALL
    return (
        OWN if migration.server_uuid in text or '"history":[{' in text.replace(" ", "") else NOTHING
    )


def documented() -> str:
    """The table that the page has."""
    return PAGE.read_text().partition(_BEGIN)[2].partition(_END)[0]


def document(table: str) -> None:
    """Write the table into the page."""
    page = PAGE.read_text()
    PAGE.write_text(page.partition(_BEGIN)[0] + _BEGIN + table + _END + page.partition(_END)[2])

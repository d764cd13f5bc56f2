# SPDX-License-Identifier: Apache-2.0
"""A client that has the current document gets 304, at little cost; whatever changes in a document
changes its tag."""

import time

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.core.messages import Agent, Batch
from migprog.core.status import Phase, Status
from migprog.tests import access, stores
from migprog.tests.access import NOVA
from migprog.tests.unit.api.conftest import SERVER, client_of, configuration
from migprog.tests.unit.api.tokens import PROJECT, keystone_client

# Changes all the time, and is not to be believed later.
WITHOUT = {
    "/healthcheck",
    "/servers/{server_uuid}/forecast",
    *(path for path in app.ROUTES if path.startswith("/hosts/")),
}
# Do not change when migrations do.
FIXED = {"/", "/openapi.json", "/v2.1", "/v2.1/"}
PATHS = sorted(
    {path for path, resource in access.routes() if hasattr(resource, "on_get")}.union(
        FIXED, app.ROUTES
    )
    - WITHOUT
    - {path for path in app.ROUTES if path.endswith("/action")}
)
OF_MIGRATIONS = [
    path
    for path in PATHS
    if path.endswith(("migrations", "/{id_or_uuid}", "/{number}", "/history", "/summary"))
]


@pytest.fixture
def migration(store: objects.Store) -> objects.Migration:
    agent = Agent(
        version="1",
        started_at=1.0,
        report_interval_seconds=5,
        heartbeat_interval_seconds=30,
        migrations=1,
    )
    objects.store_batch(store, Batch(access.HOST, "node", agent=agent), time.time())
    return access.fill(store, SERVER, PROJECT)


def ask(
    client: testing.TestClient,
    path: str,
    migration: objects.Migration,
    tag: str | None = None,
    **headers: str,
) -> testing.Result:
    if tag is not None:
        headers["If-None-Match"] = tag
    return client.simulate_get(access.address(path, migration), headers=NOVA | headers)


def change(store: objects.Store, migration: objects.Migration, **values: object) -> None:
    """The next report of the migration, and of its agent."""
    now = time.time()
    report = stores.report(
        migration.sequence + 1,
        uuid=migration.uuid,
        server_uuid=migration.server_uuid,
        project_id=PROJECT,
        **values,
    )
    agent = Agent(
        version="2",
        started_at=1.0,
        report_interval_seconds=5,
        heartbeat_interval_seconds=30,
        migrations=1,
    )
    host = migration.source_compute
    objects.store_batch(store, Batch(host, "node", reports=(report,), agent=agent), now)


@pytest.mark.parametrize("path", PATHS)
def test_matching_etag_is_304(
    client: testing.TestClient, store: objects.Store, migration: objects.Migration, path: str
) -> None:
    first = ask(client, path, migration)
    tag = first.headers["etag"]
    assert first.status_code == 200
    assert tag.startswith('W/"')
    assert first.headers["cache-control"] == "private, no-cache"
    for same in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = ask(client, path, migration, same)
        assert (again.status_code, again.text, again.headers["etag"]) == (304, "", tag)
        assert again.headers["x-openstack-request-id"]
    for other in ('"other"', 'W/""', "nonsense", "", "W/", tag.upper()):
        assert ask(client, path, migration, other).json == first.json
    change(store, migration, percent=77)
    news = ask(client, path, migration, tag)
    assert news.status_code == (304 if path in FIXED else 200)
    assert (news.headers["etag"] == tag) == (path in FIXED)


@pytest.mark.parametrize("path", OF_MIGRATIONS)
def test_conditional_request_reads_few_columns(
    client: testing.TestClient, store: objects.Store, migration: objects.Migration, path: str
) -> None:
    tag = ask(client, path, migration).headers["etag"]
    with stores.statements(store) as sent:
        assert ask(client, path, migration, tag).status_code == 304
    of_migrations = [each for each in sent if "FROM migrations" in each]
    assert len(of_migrations) == 1
    assert "sequence" in of_migrations[0]
    assert "memory_total_bytes" not in of_migrations[0]


def test_document_that_becomes_old_has_another_etag(
    store: objects.Store, connection: str, migration: objects.Migration
) -> None:
    """Nothing in the store has changed."""
    change(store, migration)
    fresh, stale = (
        client_of(app.create(configuration(connection, stale_after=after), store))
        for after in (86400, 1)
    )
    path = "/servers/{server_uuid}/migrations/{id_or_uuid}"
    told = ask(fresh, path, migration)
    assert told.json["migration"]["stale"] is False
    with store.writing() as writing:
        writing.exec_driver_sql(
            "UPDATE migrations SET last_reported_at = datetime(last_reported_at, '-1 minute')"
        )
    told = ask(fresh, path, migration)
    aged = ask(stale, path, migration, told.headers["etag"])
    assert aged.json["migration"]["stale"] is True


@pytest.mark.parametrize(
    "path", [path for path in OF_MIGRATIONS if not path.endswith(("/history", "/{number}"))]
)
def test_user_with_more_rights_has_another_etag(
    store: objects.Store, connection: str, migration: objects.Migration, path: str
) -> None:
    client = keystone_client(store, connection)
    headers = [{"X-Auth-Token": token} for token in ("manager", "admin")]
    if path.endswith("/os-migrations"):
        # What a manager may ask for.
        path += f"?project_id={PROJECT}"
    answers = [ask(client, path, migration, **each) for each in headers]
    tags = [each.headers["etag"] for each in answers]
    assert tags[0] != tags[1]
    assert ask(client, path, migration, tags[0], **headers[1]).status_code == 200


def test_each_microversion_has_its_tag(
    client: testing.TestClient, migration: objects.Migration
) -> None:
    address = f"/v2.1/servers/{SERVER}/migrations"
    tags = {
        client.simulate_get(
            address, headers={"OpenStack-API-Version": f"compute {version}"}
        ).headers["etag"]
        for version in ("2.23", "2.59", "2.80")
    }
    assert len(tags) == 3


def test_errors_have_none(
    client: testing.TestClient, store: objects.Store, migration: objects.Migration
) -> None:
    """Neither what is not there, nor what has ended for Nova's clients, by the tag of before."""
    assert "etag" not in client.simulate_get("/servers/x", headers={"If-None-Match": "*"}).headers
    path = "/v2.1/servers/{server_id}/migrations/{number}"
    assert ask(client, path, migration, "*").status_code == 304
    nobodys = f"/v2.1/servers/{SERVER}/migrations/999"
    answer = client.simulate_get(nobodys, headers=NOVA | {"If-None-Match": "*"})
    assert answer.status_code == 404
    change(store, migration, status=Status.COMPLETED, phase=Phase.DONE)
    assert ask(client, path, migration, "*").status_code == 404


def test_etag_changes_when_the_destination_becomes_known(
    client: testing.TestClient, store: objects.Store, migration: objects.Migration
) -> None:
    """An arrival changes the record, but not the sequence of its source."""
    path = "/servers/{server_uuid}/migrations/{id_or_uuid}"
    tag = ask(client, path, migration).headers["etag"]
    stores.store(
        store,
        stores.arrival(SERVER, stores.START + 50),
        host="elsewhere",
        last_reported_at=time.time(),
    )
    news = ask(client, path, migration, tag)
    assert news.json["migration"]["dest_compute"] == "elsewhere"
    assert news.json["migration"]["sequence"] == migration.sequence


def test_etag_changes_at_the_end(
    client: testing.TestClient, store: objects.Store, migration: objects.Migration
) -> None:
    tag = ask(client, "/migrations", migration).headers["etag"]
    change(store, migration, status=Status.COMPLETED, phase=Phase.DONE)
    news = ask(client, "/migrations", migration, tag).json["migrations"]
    assert [each["status"] for each in news] == ["completed"]

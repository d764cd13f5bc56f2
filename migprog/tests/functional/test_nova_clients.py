# SPDX-License-Identifier: Apache-2.0
"""``/v2.1`` asked by Nova's unmodified clients: openstack, openstacksdk and novaclient."""

import time
import uuid
from collections.abc import Iterator

import pytest
from novaclient import exceptions as nova_exceptions
from openstack import exceptions as sdk_exceptions

from migprog import httpd, objects
from migprog.api import app
from migprog.core.status import Phase, Status
from migprog.tests import documents, stores
from migprog.tests.functional import nova_clients
from migprog.tests.functional.test_api import serving
from migprog.tests.unit.api.conftest import configuration
from migprog.tests.unit.api.nova.conftest import Asked

WEB, DB, NOBODY = (str(uuid.UUID(int=number)) for number in (1, 2, 99))
DONE, PAST, POST_COPY, RUNNING = (str(uuid.UUID(int=number)) for number in (11, 12, 13, 14))
NAME = "<web> \"'; 🦜"
# When each was told of: DONE first, a minute apart.
BEGIN = int(time.time()) - 600


def instant(minutes: int) -> str:
    """That many minutes after DONE was reported, as Nova's clients write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BEGIN + 60 * minutes))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four migrations of two servers."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'migprog.sqlite'}"
    store = stores.ready(url)
    web = {"server_uuid": WEB, "server_name": NAME, "project_id": "p1", "user_id": "u1"}
    db = {"server_uuid": DB, "server_name": "db", "project_id": "p2", "user_id": "u2"}
    figures = {"percent": 41, "memory_total_bytes": 2**30, "memory_processed_bytes": 2**29}
    for minutes, which, status, host, values in (
        (0, DONE, Status.COMPLETED, "a", web | {"percent": 100}),
        (1, PAST, Status.FAILED, "b", db),
        (2, POST_COPY, Status.POST_COPY, "b", db | {"percent": 77}),
        (3, RUNNING, Status.RUNNING, "c", web | figures),
    ):
        at = BEGIN + 60 * minutes
        phase = Phase.DONE if minutes < 2 else Phase.MEMORY_ITERATIONS
        report = stores.report(
            uuid=which, status=status, phase=phase, started_at=at - 20, sampled_at=at, **values
        )
        stores.store(store, report, host=host, last_reported_at=at)
    store.close()
    return url


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[str]:
    """Of ``/v2.1`` of a running ``migprog-api``."""
    with serving(tmp_path_factory.mktemp("api"), database, "threading") as (base, program):
        yield f"{base}/v2.1"
        program.check()


@pytest.fixture
def acting(database: str) -> Iterator[tuple[str, Asked]]:
    """The endpoint of an API where something may be done to migrations, and what is asked of it."""
    conf = configuration(database)
    store = objects.connect(conf)
    actions = Asked()
    application = app.create(conf, store, actions=actions)
    server = httpd.Server(application, "127.0.0.1", 0, 4, "a test")
    server.start()
    yield f"http://127.0.0.1:{server.port}/v2.1", actions
    server.stop()
    store.close()


LISTS = {
    "": [RUNNING, POST_COPY, PAST, DONE],
    f"--server {WEB}": [RUNNING, DONE],
    "--server db": [POST_COPY, PAST],
    "--status running": [RUNNING],
    "--status failed": [PAST],
    "--host b": [POST_COPY, PAST],
    "--type live-migration": [RUNNING, POST_COPY, PAST, DONE],
    "--type cold-migration": [],
    "--limit 2": [RUNNING, POST_COPY],
    f"--limit 2 --marker {POST_COPY}": [PAST, DONE],
    "--max-items 3": [RUNNING, POST_COPY, PAST],
    f"--changes-since {instant(2)}": [RUNNING, POST_COPY],
    f"--changes-before {instant(1)}": [PAST, DONE],
    f"--changes-since {instant(1)} --changes-before {instant(2)}": [POST_COPY, PAST],
    f"--server {WEB} --status completed --host a --type live-migration --limit 1": [DONE],
}


def test_openstack_lists(endpoint: str) -> None:
    shown = nova_clients.json_of(endpoint, [f"server migration list {each}" for each in LISTS])
    found = {asked: [row["UUID"] for row in rows] for asked, rows in zip(LISTS, shown, strict=True)}
    assert found == LISTS
    newest = shown[0][0]
    assert newest["Source Node"] == "c.example.org"
    assert newest["Server UUID"] == WEB
    assert (newest["Id"], newest["Type"], newest["Status"]) == (4, "live-migration", "running")


def test_openstack_shows(endpoint: str) -> None:
    migration, post_copy, server, by_name, servers = nova_clients.json_of(
        endpoint,
        [
            f"server migration show {WEB} {RUNNING}",
            f"server migration show db {POST_COPY}",
            f"server show {WEB}",
            "server show db",
            "server list",
        ],
    )
    assert migration["UUID"] == RUNNING
    assert (migration["ID"], migration["Status"]) == (4, "running")
    assert migration["Memory Total Bytes"] == 2**30
    assert migration["Memory Processed Bytes"] == 2**29
    assert migration["Memory Remaining Bytes"] == 0
    # Nobody knows who asked for it.
    assert (migration["User ID"], migration["Project ID"]) == (None, None)
    assert post_copy["Status"] == "running (post-copy)"
    assert (server["name"], server["status"], server["progress"]) == (NAME, "MIGRATING", 41)
    assert server["OS-EXT-STS:task_state"] == "migrating"
    assert (by_name["id"], by_name["progress"]) == (DB, 77)
    assert [(each["ID"], each["Name"]) for each in servers] == [(WEB, NAME), (DB, "db")]


# Of each: what it asks for, and the columns that there are from then on.
OLD = ["2.1", "2.22", "2.23", "2.58", "2.59", "2.80"]


def test_openstack_in_older_microversions(endpoint: str) -> None:
    lists = nova_clients.json_of(
        endpoint, [f"--os-compute-api-version {each} server migration list" for each in OLD]
    )
    for version, rows in zip(OLD, lists, strict=True):
        minor = int(version.partition(".")[2])
        assert len(rows) == 4
        assert ("Type" in rows[0]) is (minor >= 23)
        assert ("UUID" in rows[0]) is (minor >= 59)


def test_openstack_prints_the_reason_of_an_error(endpoint: str) -> None:
    for (command, told), answer in zip(
        refused := [
            (f"server migration show {WEB} {DONE}", f"In-progress live migration {DONE}"),
            (f"server migration show {NOBODY} {RUNNING}", f"No Server found for {NOBODY}"),
            ("server migration list --limit 1 --marker x", "400: Client Error"),
            (f"server migration abort {WEB} {RUNNING}", "501: Server Error"),
            (f"server migration force complete {WEB} {RUNNING}", "Actions are disabled"),
            (f"server migration abort db {POST_COPY}", "400: Client Error"),
            (f"server migration abort {WEB} 99", "404: Client Error"),
        ],
        nova_clients.run_openstack(endpoint, *(command for command, _told in refused)),
        strict=True,
    ):
        assert answer.code == 1, command
        assert told in answer.err, command


def test_openstack_acts(acting: tuple[str, Asked]) -> None:
    endpoint, actions = acting
    for answer in nova_clients.run_openstack(
        endpoint,
        f"server migration abort {WEB} {RUNNING}",
        f"server migration abort {WEB} 4",
        f"server migration force complete {WEB} {RUNNING}",
        f"server migration force complete {WEB} 4",
    ):
        assert (answer.code, answer.out, answer.err) == (0, "", "")
    assert actions.noted == [("abort", RUNNING)] * 2 + [("force_complete", RUNNING)] * 2


_PAGES_UUID = "6b1f3c1e-2a4d-4a55-9a53-0f8d5d3f7e11"
_NOVA_UUID = "0b1d7a96-6f4e-4d0c-9c07-4b6a4d0c7b11"


def test_commands_of_the_manual_list_and_show(endpoint: str) -> None:
    ours = {"http://127.0.0.1:8790/v2.1": endpoint, _PAGES_UUID: RUNNING, " web": f" {WEB}"}
    shown = documents.run("nova-api.rst", "nova-api-clients", ours)
    assert RUNNING in shown and "| progress | 41" in shown


def test_commands_of_the_manual_act(acting: tuple[str, Asked]) -> None:
    endpoint, actions = acting
    environment = {
        "OS_AUTH_TYPE": "none",
        "OS_ENDPOINT": endpoint,
        "OS_IDENTITY_API_VERSION": "3",
    }
    ours = {_NOVA_UUID: RUNNING, " web": f" {WEB}"}
    documents.run("verdict-guide.rst", "verdict-force", ours, environment)
    documents.run("verdict-guide.rst", "verdict-abort", ours, environment)
    native = {"API": endpoint.removesuffix("/v2.1")}
    documents.run("actions.rst", "actions-curl", {"<uuid>": WEB, "<id>": RUNNING}, native)
    assert actions.noted == [
        ("force_complete", RUNNING),
        ("abort", RUNNING),
        ("abort", RUNNING),
        ("force_complete", RUNNING),
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [RUNNING, POST_COPY, PAST, DONE]),
        ({"limit": 1}, [RUNNING, POST_COPY, PAST, DONE]),
        ({"limit": 1, "paginated": False}, [RUNNING]),
        ({"instance_uuid": DB}, [POST_COPY, PAST]),
        ({"host": "c"}, [RUNNING]),
        ({"status": "running (post-copy)"}, [POST_COPY]),
        ({"source_compute": "b"}, [POST_COPY, PAST]),
        ({"migration_type": "resize"}, []),
        ({"changes_since": instant(3)}, [RUNNING]),
        # Of who asked for them, whom nobody knows here; these are the owners'.
        ({"user_id": "u2", "project_id": "p2"}, []),
    ],
)
def test_sdk_lists(endpoint: str, asked: dict[str, object], found: list[str]) -> None:
    compute = nova_clients.sdk(endpoint)
    # It calls it so; the rest are named as in Nova.
    asked = {("server_id" if k == "instance_uuid" else k): v for k, v in asked.items()}
    assert [each.uuid for each in compute.migrations(**asked)] == found


def test_sdk_shows(endpoint: str) -> None:
    compute = nova_clients.sdk(endpoint)
    (listed,) = compute.server_migrations(WEB)
    shown = compute.get_server_migration(listed.id, WEB)
    assert (shown.uuid, shown.status, shown.memory_total_bytes) == (RUNNING, "running", 2**30)
    assert compute.get_server(WEB).progress == 41
    assert compute.find_server("db").id == DB
    assert compute.find_server("d") is None
    assert [each.name for each in compute.servers()] == [NAME, "db"]
    with pytest.raises(sdk_exceptions.NotFoundException) as raised:
        compute.get_server_migration(99, WEB)
    assert raised.value.details == (f"In-progress live migration 99 is not found for server {WEB}.")
    assert raised.value.request_id.startswith("req-")


@pytest.mark.parametrize("path", ["", "/v2.1", "/v2.1/", "/v2.1/c0ffee"])
def test_sdk_finds_the_endpoint_in_the_catalog(endpoint: str, path: str) -> None:
    """Of one that names the root it takes, of our APIs, the Nova-compatible one."""
    compute = nova_clients.sdk_by_catalog(endpoint.removesuffix("/v2.1") + path)
    assert [each.uuid for each in compute.server_migrations(WEB)] == [RUNNING]


def test_sdk_acts(acting: tuple[str, Asked]) -> None:
    endpoint, actions = acting
    compute = nova_clients.sdk(endpoint)
    compute.abort_server_migration(4, WEB, ignore_missing=False)
    compute.force_complete_server_migration(4, WEB)
    assert actions.noted == [("abort", RUNNING), ("force_complete", RUNNING)]
    with pytest.raises(sdk_exceptions.NotFoundException):
        compute.abort_server_migration(99, NOBODY, ignore_missing=False)


def test_novaclient(endpoint: str) -> None:
    client = nova_clients.novaclient(endpoint, "2.80")
    (listed,) = client.server_migrations.list(WEB)
    shown = client.server_migrations.get(WEB, listed.id)
    assert (shown.uuid, shown.status, shown.memory_total_bytes) == (RUNNING, "running", 2**30)
    assert client.servers.get(WEB).progress == 41
    assert client.servers.find(name="db").id == DB

    def found(**asked: object) -> list[str]:
        return [each.uuid for each in client.migrations.list(**asked)]

    assert found() == [RUNNING, POST_COPY, PAST, DONE]
    assert found(limit=2, marker=RUNNING) == [POST_COPY, PAST]
    assert found(host="b", status="failed") == [PAST]
    assert found(instance_uuid=WEB, migration_type="live-migration") == [RUNNING, DONE]
    assert found(source_compute="a") == [DONE]
    assert found(changes_since=instant(2), changes_before=instant(2)) == [POST_COPY]
    assert found(user_id="u2", project_id="p2") == []
    with pytest.raises(nova_exceptions.NotFound, match="is not found for server"):
        client.server_migrations.get(WEB, 99)


@pytest.mark.parametrize(("version", "uuids"), [("2.23", False), ("2.58", False), ("2.59", True)])
def test_novaclient_in_older_microversions(endpoint: str, version: str, uuids: bool) -> None:
    """Below 2.27 it sends the old header alone."""
    client = nova_clients.novaclient(endpoint, version)
    (listed,) = client.server_migrations.list(WEB)
    assert (listed.id, hasattr(listed, "uuid")) == (4, uuids)
    assert len(client.migrations.list()) == 4


def test_novaclient_acts(acting: tuple[str, Asked]) -> None:
    endpoint, actions = acting
    client = nova_clients.novaclient(endpoint, "2.24")
    client.server_migrations.live_migration_abort(WEB, 4)
    client.server_migrations.live_migrate_force_complete(WEB, 4)
    assert actions.noted == [("abort", RUNNING), ("force_complete", RUNNING)]

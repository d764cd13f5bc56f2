# SPDX-License-Identifier: Apache-2.0
"""A server's migrations that are in progress."""

import uuid

import pytest

from migprog import objects
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.unit.api.conftest import REPORTED_AT, SERVER, Fill
from migprog.tests.unit.api.nova.conftest import NOBODY, NOT_FOUND, Ask, refusal

KEYS_2_23 = set(
    """
created_at dest_compute dest_host dest_node disk_processed_bytes disk_remaining_bytes
disk_total_bytes id memory_processed_bytes memory_remaining_bytes memory_total_bytes server_uuid
source_compute source_node status updated_at
""".split()  # noqa: SIM905
)
KEYS_2_59 = KEYS_2_23 | {"uuid"}
KEYS_2_80 = KEYS_2_59 | {"user_id", "project_id"}

BY_VERSION = {
    **dict.fromkeys([None, "2.1", "2.22"]),
    **dict.fromkeys(["2.23", "2.58"], KEYS_2_23),
    **dict.fromkeys(["2.59", "2.79"], KEYS_2_59),
    **dict.fromkeys(["2.80", "2.101", "2.102", "2.104", "latest"], KEYS_2_80),
}
LIST = f"/servers/{SERVER}/migrations"


@pytest.mark.parametrize(("version", "keys"), BY_VERSION.items())
@pytest.mark.parametrize("project", ["", "/0f00-ba"])
def test_keys_by_version(
    ask: Ask, fill: Fill, version: str | None, keys: set[str] | None, project: str
) -> None:
    fill()
    listed, shown = ask(project + LIST, version), ask(f"{project}{LIST}/1", version)
    if keys is None:
        assert refusal(listed) == refusal(shown) == (404, "itemNotFound", NOT_FOUND)
        return
    assert (listed.status_code, shown.status_code) == (200, 200)
    assert set(shown.json["migration"]) == keys
    assert listed.json == {"migrations": [shown.json["migration"]]}


def test_values(ask: Ask, fill: Fill, store: objects.Store) -> None:
    (migration,) = fill(
        server_name="web",
        project_id="p",
        user_id="u",
        memory_total_bytes=2**40,
        memory_processed_bytes=0,
        memory_remaining_bytes=7,
        disk_total_bytes=3,
        disk_processed_bytes=1,
        disk_remaining_bytes=2,
    )
    arrival = stores.arrival(SERVER, REPORTED_AT - 5)
    stores.store(store, arrival, host="target", last_reported_at=REPORTED_AT + 2.25)
    answer = ask(f"{LIST}/1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "migration": {
            "id": 1,
            "uuid": migration,
            "server_uuid": SERVER,
            "status": "running",
            "source_compute": "source",
            "source_node": "source.lab",
            "dest_compute": "target",
            "dest_node": "target.example.org",
            "dest_host": None,
            "memory_total_bytes": 2**40,
            "memory_processed_bytes": 0,
            "memory_remaining_bytes": 7,
            "disk_total_bytes": 3,
            "disk_processed_bytes": 1,
            "disk_remaining_bytes": 2,
            "user_id": None,
            "project_id": None,
            "created_at": "2023-11-14T22:13:20.500000",
            "updated_at": "2023-11-14T22:13:22.750000",
        }
    }


def test_unknown_values_are_null(ask: Ask, fill: Fill) -> None:
    fill()
    shown = ask(f"{LIST}/1").json["migration"]
    assert {key for key, value in shown.items() if value is None} == {
        *("dest_compute", "dest_node", "dest_host", "user_id", "project_id"),
        *("memory_total_bytes", "memory_processed_bytes", "memory_remaining_bytes"),
        *("disk_total_bytes", "disk_processed_bytes", "disk_remaining_bytes"),
    }


def test_counters_that_libvirt_does_not_report_are_0_once_it_reports_any(
    ask: Ask, fill: Fill
) -> None:
    """While disks are copied it says nothing of memory."""
    fill(disk_total_bytes=3, disk_processed_bytes=1, disk_remaining_bytes=2)
    shown = ask(f"{LIST}/1").json["migration"]
    assert [shown[f"memory_{which}_bytes"] for which in ("total", "processed", "remaining")] == [
        *(0, 0, 0)
    ]
    assert shown["disk_total_bytes"] == 3


@pytest.mark.parametrize("status", Status)
def test_list_has_migrations_that_have_not_ended(ask: Ask, fill: Fill, status: Status) -> None:
    """Post-copy too, which Nova forgets; post-migrating is a word of Nova's for others."""
    (migration,) = fill(status=status, phase=Phase.DONE)
    in_progress = status in ("running", "running (post-copy)", "post-migrating")
    listed = ask(LIST).json["migrations"]
    assert [each["uuid"] for each in listed] == ([migration] if in_progress else [])
    shown = ask(f"{LIST}/1")
    if in_progress:
        word = "running" if status == "post-migrating" else status.value
        assert shown.json["migration"]["status"] == word
    else:
        message = f"Live migration 1 for server {SERVER} is not in progress."
        assert refusal(shown) == (404, "itemNotFound", message)


@pytest.mark.parametrize(
    "server", [NOBODY, "web", "1", "%00", SERVER.replace("-", ""), "%F0%9F%A6%9C"]
)
def test_an_unknown_server(ask: Ask, fill: Fill, server: str) -> None:
    fill()
    for path in ("", "/migrations", "/migrations/1"):
        code, name, message = refusal(ask(f"/servers/{server}{path}"))
        assert (code, name) == (404, "itemNotFound")
        assert message.startswith("Instance ")
        assert message.endswith(" could not be found.")


def test_a_server_goes_by_the_usual_form_of_its_uuid(ask: Ask, fill: Fill) -> None:
    server = str(uuid.UUID(int=0xABCDEF))
    fill(server_uuid=server)
    assert ask(f"/servers/{server}/migrations").status_code == 200
    message = f"Instance {server.upper()} could not be found."
    for path in ("", "/migrations", "/migrations/1"):
        assert refusal(ask(f"/servers/{server.upper()}{path}"))[2] == message


@pytest.mark.parametrize(
    "number",
    [
        "2",
        "abc",
        "1.5",
        "-1",
        "+1",
        "1_0",
        "%D9%A1",
        str(2**31),
        "9" * 3000,
        "%F0%9F%A6%9C",
        NOBODY,
    ],
)
def test_an_unknown_migration(ask: Ask, fill: Fill, number: str) -> None:
    fill()
    code, name, message = refusal(ask(f"{LIST}/{number}"))
    assert (code, name) == (404, "itemNotFound")
    assert message.startswith("In-progress live migration ")
    assert message.endswith(f" is not found for server {SERVER}.")
    assert len(message) < 200


def test_a_migration_goes_by_its_number_alone(ask: Ask, fill: Fill) -> None:
    (migration,) = fill()
    assert refusal(ask(f"{LIST}/{migration}"))[0] == 404
    assert ask(f"{LIST}/01").json == ask(f"{LIST}/1").json


def test_anothers_migration_is_not_found(ask: Ask, fill: Fill) -> None:
    fill()
    fill(server_uuid=NOBODY)
    assert refusal(ask(f"/servers/{NOBODY}/migrations/1"))[2] == (
        f"In-progress live migration 1 is not found for server {NOBODY}."
    )
    assert [each["id"] for each in ask(LIST).json["migrations"]] == [1]


@pytest.mark.parametrize(("version", "code"), [("2.23", 200), ("2.101", 200), ("2.102", 400)])
def test_unknown_parameters(ask: Ask, fill: Fill, version: str, code: int) -> None:
    fill()
    for path in (LIST, f"{LIST}/1"):
        answer = ask(f"{path}?foo=1&limit=0", version)
        assert answer.status_code == code
        if code == 400:
            message = "Additional properties are not allowed ('foo', 'limit' were unexpected)"
            assert refusal(answer) == (400, "badRequest", message)


def test_a_list_is_bounded_and_asks_once(ask: Ask, fill: Fill, store: objects.Store) -> None:
    fill(3)
    with stores.statements(store) as sent:
        assert len(ask(LIST).json["migrations"]) == 3
    assert len([each for each in sent if each.startswith("SELECT")]) == 1

# SPDX-License-Identifier: Apache-2.0
"""Each route: what it answers, how it may be asked, and what it makes of hostile text."""

import dataclasses
import uuid

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app, views
from migprog.api.error_codes import ErrorCode
from migprog.api.microversion import NATIVE
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.store_cases.measuring import measured
from migprog.tests.unit.api.conftest import REPORTED_AT, SERVER, Fill, error_of

# Of the oldest version, for ever: what comes later is in `SINCE`.
KEYS = set(
    """
id uuid nova_id nova_uuid nova_project_id nova_user_id server_uuid server_name project_id user_id
source_compute source_node dest_compute dest_node dest_host sequence status phase percent
eta_seconds eta_low_seconds eta_high_seconds verdict verdict_reason verdict_message
memory_total_bytes
memory_processed_bytes memory_remaining_bytes disk_total_bytes disk_processed_bytes
disk_remaining_bytes memory_iteration throughput_bytes_per_second dirty_bytes_per_second
iteration_start_remaining_bytes downtime_needed_seconds downtime_limit_seconds
bandwidth_needed_bytes_per_second vfio_transferred_bytes disks cpu_throttle_percent total_seconds
downtime_seconds error in_progress started_at sampled_at ended_at last_reported_at stale created_at
updated_at calibration links ends_at ends_at_earliest ends_at_latest
""".split()  # noqa: SIM905
)

HOSTILE = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "\"'; DROP TABLE migrations; --": "\"'; DROP TABLE migrations; --",
    "two\r\nlines": "two??lines",
    "nul\0byte": "nul?byte",
    "🦜 four bytes": "🦜 four bytes",
}


LATEST = {"OpenStack-API-Version": "migration-progress latest"}


def paths(migration: str) -> list[str]:
    """Every route that can be read, with a server and a migration that are there."""
    names = {"server_uuid": SERVER, "id_or_uuid": migration, "host": "source"}
    readable = (path for path, kind in app.ROUTES.items() if hasattr(kind, "on_get"))
    return [path.format(**names) for path in readable]


def test_versions(client: testing.TestClient) -> None:
    assert client.simulate_get("/", host="localhost:8790").json == {
        "versions": [
            {
                "id": "v1",
                "status": "CURRENT",
                "min_version": "1.0",
                "max_version": str(NATIVE.newest),
                "links": [{"rel": "self", "href": "http://localhost:8790/migrations"}],
            },
            {
                "id": "v2.1",
                "status": "CURRENT",
                "version": "2.104",
                "min_version": "2.1",
                "updated": "2013-07-23T11:33:21Z",
                "links": [{"rel": "self", "href": "http://localhost:8790/v2.1/"}],
            },
        ]
    }


def test_server(client: testing.TestClient, fill: Fill) -> None:
    (migration,) = fill(percent=41, server_name="web", project_id="p", user_id="u")
    base = f"http://localhost/servers/{SERVER}"
    assert client.simulate_get(f"/servers/{SERVER}").json == {
        "server": {
            "id": SERVER,
            "uuid": SERVER,
            "name": "web",
            "project_id": "p",
            "user_id": "u",
            "host": "source",
            "progress": 41,
            "sampled_at": "2023-11-14T22:13:19.500000Z",
            "migration_uuid": migration,
            "links": [
                {"rel": "self", "href": base},
                {"rel": "migration", "href": f"{base}/migrations/{migration}"},
                {"rel": "migrations", "href": f"{base}/migrations"},
            ],
        }
    }


def test_migration_by_number_and_by_uuid(client: testing.TestClient, fill: Fill) -> None:
    (migration,) = fill()
    by_uuid = client.simulate_get(f"/servers/{SERVER}/migrations/{migration}").json
    assert by_uuid["migration"]["uuid"] == migration
    number = by_uuid["migration"]["id"]
    assert client.simulate_get(f"/servers/{SERVER}/migrations/{number}").json == by_uuid
    assert client.simulate_get(f"/servers/{SERVER}/migrations/{migration.upper()}").json == by_uuid


def test_every_key_of_1_0_is_always_there_and_no_other(
    client: testing.TestClient, fill: Fill
) -> None:
    (migration,) = fill()
    shown = client.simulate_get(f"/servers/{SERVER}/migrations/{migration}").json["migration"]
    assert set(shown) == KEYS
    told = {key for key, value in shown.items() if value is not None}
    assert told == {
        *("id", "uuid", "server_uuid", "source_compute", "source_node"),
        *("sequence", "status", "phase"),
        *("in_progress", "started_at", "sampled_at", "last_reported_at", "stale"),
        *("created_at", "updated_at", "calibration", "links"),
    }
    for path in ("/migrations", f"/servers/{SERVER}/migrations"):
        assert client.simulate_get(path).json == {"migrations": [shown]}


def test_values_are_those_reported(client: testing.TestClient, fill: Fill) -> None:
    reported = {
        "percent": 0,
        "eta_seconds": 12.5,
        "verdict": Verdict.NOT_CONVERGING,
        "verdict_reason": VerdictReason.DIRTY_RATE_TOO_HIGH,
        "verdict_message": "dirties faster than it moves",
        "memory_total_bytes": 2**40,
        "memory_processed_bytes": 0,
        "cpu_throttle_percent": 20,
    }
    fill(ended_at=REPORTED_AT, status=Status.POST_COPY, phase=Phase.POST_COPY, **reported)
    shown = client.simulate_get("/migrations").json["migrations"][0]
    assert {key: shown[key] for key in reported} == reported
    assert shown["status"] == "running (post-copy)"
    assert shown["in_progress"] is True
    assert shown["ended_at"] == "2023-11-14T22:13:20.500000Z"


def test_eta_is_by_the_conductors_clock(client, store) -> None:
    """Of a host whose clock is an hour ahead, and while nothing but time passes the same."""
    ahead = 3600
    first = stores.report(
        started_at=stores.START + ahead,
        eta_seconds=30.0,
        eta_low_seconds=20.0,
        eta_high_seconds=45.5,
    )
    later = stores.later(first, eta_seconds=29.0, eta_low_seconds=19.0, eta_high_seconds=44.5)
    unknown = stores.later(later)
    unknown = dataclasses.replace(
        unknown, eta_seconds=None, eta_low_seconds=None, eta_high_seconds=None
    )
    seen = []
    for report in (first, later, unknown):
        sent_at = report.sampled_at + 0.5
        batch = Batch("h", "n", reports=(report,), sent_at=sent_at)
        objects.store_batch(store, batch, sent_at - ahead)
        (shown,) = client.simulate_get("/migrations").json["migrations"]
        seen.append([shown[key] for key in ("ends_at", "ends_at_earliest", "ends_at_latest")])
    ends = [views.instant(stores.at(stores.START + 1 + eta)) for eta in (30.0, 20.0, 45.5)]
    assert seen == [ends, ends, [None] * 3]


def test_measured_times_are_shown_to_the_millisecond(client, fill: Fill) -> None:
    measured = {
        "downtime_needed_seconds": 2.2999999523,
        "downtime_limit_seconds": 0.30000000000000004,
        "total_seconds": 35.12345678,
        "downtime_seconds": 0.0119,
    }
    fill(**measured)
    shown = client.simulate_get("/migrations").json["migrations"][0]
    assert {key: shown[key] for key in measured} == {
        "downtime_needed_seconds": 2.3,
        "downtime_limit_seconds": 0.3,
        "total_seconds": 35.123,
        "downtime_seconds": 0.012,
    }


def test_how_good_the_forecasts_were(client: testing.TestClient, fill: Fill) -> None:
    (running,) = fill()
    (completed,) = fill(
        status=Status.COMPLETED,
        eta_at_25_seconds=30.0,
        eta_error_at_25_seconds=-4.4999999,
        eta_in_range_at_25=True,
        eta_at_75_seconds=0.04,
        eta_error_at_75_seconds=0.2531298,
        eta_in_range_at_75=False,
    )

    def shown(migration: str) -> list[dict[str, object]]:
        answer = client.simulate_get(f"/servers/{SERVER}/migrations/{migration}").json
        calibration: list[dict[str, object]] = answer["migration"]["calibration"]
        return calibration

    nothing = {"eta_seconds": None, "error_seconds": None, "in_range": None}
    assert shown(running) == [{"at_percent": percent, **nothing} for percent in (25, 50, 75)]
    assert shown(completed) == [
        {"at_percent": 25, "eta_seconds": 30.0, "error_seconds": -4.5, "in_range": True},
        {"at_percent": 50, **nothing},
        {"at_percent": 75, "eta_seconds": 0.0, "error_seconds": 0.3, "in_range": False},
    ]


def test_links_follow_the_request(client: testing.TestClient, fill: Fill) -> None:
    (migration,) = fill()
    shown = client.simulate_get("/migrations", host="localhost:99", protocol="https").json
    assert shown["migrations"][0]["links"] == [
        {"rel": "self", "href": f"https://localhost:99/servers/{SERVER}/migrations/{migration}"},
        {
            "rel": "history",
            "href": f"https://localhost:99/servers/{SERVER}/migrations/{migration}/history",
        },
        {"rel": "server", "href": f"https://localhost:99/servers/{SERVER}"},
    ]


def test_health(client: testing.TestClient) -> None:
    assert client.simulate_get("/healthcheck").json == {"detailed": False, "reasons": []}


@pytest.mark.parametrize(("name", "shown"), HOSTILE.items())
def test_hostile_names_are_data(
    client: testing.TestClient, fill: Fill, name: str, shown: str
) -> None:
    fill(server_name=name)
    answer = client.simulate_get(f"/servers/{SERVER}")
    assert answer.json["server"]["name"] == shown
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_route_can_be_asked_for_its_head(
    client: testing.TestClient, fill: Fill, store: objects.Store
) -> None:
    (migration,) = fill()
    taken = measured(SERVER, REPORTED_AT - 20_000)
    batch = Batch(host="source", node="source.lab", measurements=(taken,))
    objects.store_batch(store, batch, REPORTED_AT)
    for path in paths(migration):
        get, head = (
            ask(path, headers=LATEST) for ask in (client.simulate_get, client.simulate_head)
        )
        assert (get.status_code, head.status_code, head.content) == (200, 200, b""), path
        assert head.headers["content-length"] == get.headers["content-length"] != "0"


def test_every_route_answers_options_with_its_methods(
    client: testing.TestClient, fill: Fill
) -> None:
    for path in paths(*fill()):
        answer = client.simulate_options(path)
        assert answer.status_code == 200
        assert set(answer.headers["allow"].split(", ")) >= {"GET", "HEAD"}, path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(client: testing.TestClient, fill: Fill, method: str) -> None:
    (migration,) = fill()
    for path in paths(migration):
        answer = client.simulate_request(method, path, json={})
        if (method, path.rpartition("/")[2]) == ("DELETE", migration):
            # Nor by whom it could be, as long as that is not turned on.
            error_of(answer, ErrorCode.ACTIONS_DISABLED)
            continue
        if (method, path.rpartition("/")[2]) in {("POST", "forecast"), ("POST", "drain-plan")}:
            # It changes nothing, and is not there in the oldest microversion.
            error_of(answer, ErrorCode.NO_SUCH_ADDRESS)
            headers = LATEST | {"Content-Type": "application/json"}
            measuring = client.simulate_post(path, body='{"measure": true}', headers=headers)
            error_of(measuring, ErrorCode.MEASURING_DISABLED)
            continue
        error_of(answer, ErrorCode.METHOD_NOT_ALLOWED)
        assert set(answer.headers["allow"].split(", ")) >= {"GET", "HEAD", "OPTIONS"}, path


def test_every_answer_has_its_request_id(client: testing.TestClient, fill: Fill) -> None:
    asked = [*paths(*fill()), "/nowhere", "/migrations?limit=no"]
    seen = {client.simulate_get(path).headers["x-openstack-request-id"] for path in asked}
    assert len(seen) == len(asked)
    assert all(uuid.UUID(each.removeprefix("req-")) for each in seen)


def test_history(client: testing.TestClient, store: objects.Store) -> None:
    first = stores.report(server_uuid=SERVER, percent=1)
    for sequence in (1, 5, 9):
        stores.store(store, stores.later(first, sequence=sequence, percent=sequence))
    answer = client.simulate_get(f"/servers/{SERVER}/migrations/{first.uuid}/history").json
    assert [point["percent"] for point in answer["history"]] == [5, 9]
    assert answer["history"][0] == {
        "sampled_at": views.instant(stores.at(stores.START + 5)),
        "status": "running",
        "phase": "memory-iterations",
        "percent": 5,
        "eta_seconds": None,
        "eta_low_seconds": None,
        "eta_high_seconds": None,
        "verdict": None,
        "memory_processed_bytes": None,
        "memory_remaining_bytes": None,
        "disk_processed_bytes": None,
        "disk_remaining_bytes": None,
        "memory_iteration": None,
        "iteration_start_remaining_bytes": None,
        "throughput_bytes_per_second": None,
        "dirty_bytes_per_second": None,
        "cpu_throttle_percent": None,
    }
    nobody = client.simulate_get(f"/servers/{SERVER}/migrations/99/history")
    assert nobody.status_code == 404

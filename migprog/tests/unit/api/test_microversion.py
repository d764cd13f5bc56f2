# SPDX-License-Identifier: Apache-2.0
"""The microversions of the native API: which one a request is answered in, and how that is said."""

import datetime
import pathlib
import uuid
from typing import Any

import pytest
from falcon import testing
from microversion_parse import Version

from migprog import objects
from migprog.api.error_codes import ErrorCode
from migprog.api.microversion import HEADER, HISTORY, NATIVE
from migprog.core.messages import ArrivalState, Batch
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.store_cases.advice import ACTION
from migprog.tests.unit.api.conftest import REPORTED_AT, SERVER, Fill, error_of
from migprog.tests.unit.api.tokens import keystone_client

PAGE = (pathlib.Path(__file__).parents[4] / "doc/source/api.rst").read_text()
OLDEST, NEWEST = str(NATIVE.oldest), str(NATIVE.newest)
ONE = f"/servers/{SERVER}/migrations/1"
ADVICE = {
    "at": REPORTED_AT - 2,
    "works_by": REPORTED_AT + 118,
    "action": "raise-downtime",
    "reason": "not-converging",
    "message": "raise it",
    "figures": {"downtime_limit_seconds": 1.25, "level_starts": 3},
    "state": "advised",
}


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, OLDEST),
        ("migration-progress 1.0", OLDEST),
        (f"migration-progress {NEWEST}", NEWEST),
        ("migration-progress latest", NEWEST),
        ("Migration-Progress   latest", NEWEST),
        # One header may name the versions of several services.
        ("compute 2.80, migration-progress latest", NEWEST),
        ("migration-progress latest, compute 2.80", NEWEST),
        ("compute 2.80", OLDEST),
        ("placement 9.9", OLDEST),
        ("1.0", OLDEST),
        ("", OLDEST),
    ],
)
def test_request_is_answered_in_the_version_that_it_names(
    client: testing.TestClient, header: str | None, version: str
) -> None:
    headers = {} if header is None else {HEADER: header}
    for path in ("/", "/migrations", "/healthcheck", "/openapi.json"):
        answer = client.simulate_get(path, headers=headers)
        assert answer.status_code == 200
        assert answer.headers[HEADER] == f"migration-progress {version}"
        assert answer.headers["vary"] == HEADER


@pytest.mark.parametrize("text", ["abc", "1", "1.", ".1", "1.00", "01.0", "-1.0", "1.0.0", "1.0 x"])
def test_malformed_version_is_400(client: testing.TestClient, text: str) -> None:
    for path in ("/", "/migrations", "/nowhere"):
        answer = client.simulate_get(path, headers={HEADER: f"migration-progress {text}"})
        error = error_of(answer, ErrorCode.MICROVERSION_MALFORMED)
        assert text in error["detail"]
        assert HEADER not in answer.headers
        assert answer.headers["vary"] == HEADER


@pytest.mark.parametrize("text", ["1.999", f"1.{NATIVE.newest.minor + 1}", "2.0", "2.1", "999.999"])
def test_unsupported_version_is_406_with_the_range(client: testing.TestClient, text: str) -> None:
    for path in ("/", "/migrations", ONE, "/nowhere"):
        answer = client.simulate_get(path, headers={HEADER: f"migration-progress {text}"})
        error = error_of(answer, ErrorCode.MICROVERSION_UNSUPPORTED)
        assert (error["min_version"], error["max_version"]) == (OLDEST, NEWEST)
        assert error["detail"] == (
            f"Version {text} is not supported by the API. "
            f"Minimum is {OLDEST} and maximum is {NEWEST}."
        )
        assert HEADER not in answer.headers
        assert answer.headers["vary"] == HEADER


def test_every_answer_has_its_version_header(
    store: objects.Store, connection: str, fill: Fill
) -> None:
    fill()
    client = keystone_client(store, connection)
    for method, path, token, body, code in (
        ("GET", ONE, "admin", None, 200),
        ("HEAD", ONE, "admin", None, 200),
        ("GET", ONE, "wrong", None, 401),
        ("DELETE", ONE, "reader", None, 403),
        ("GET", "/nowhere", "admin", None, 404),
        ("POST", ONE, "admin", "{}", 405),
        ("POST", f"{ONE}/action", "admin", "x" * 2**15, 413),
        ("GET", "/migrations?host=" + "h" * 5000, "admin", None, 414),
    ):
        headers = {HEADER: "migration-progress latest", "X-Auth-Token": token}
        answer = client.simulate_request(method, path, headers=headers, body=body)
        assert answer.status_code == code, path
        assert answer.headers[HEADER] == f"migration-progress {NEWEST}"
        assert answer.headers["vary"] == HEADER


def test_answer_of_another_version_is_another_one(client: testing.TestClient, fill: Fill) -> None:
    """A cache that holds an older version's document must not take it for the newer one's."""
    fill()
    tag = client.simulate_get(ONE).headers["etag"]
    for version, code in ((OLDEST, 304), (NEWEST, 304 if OLDEST == NEWEST else 200)):
        headers = {HEADER: f"migration-progress {version}", "If-None-Match": tag}
        answer = client.simulate_get(ONE, headers=headers)
        assert answer.status_code == code
        assert answer.headers[HEADER] == f"migration-progress {version}"


def test_arrived_at_is_there_since_1_1(
    client: testing.TestClient, store: objects.Store, fill: Fill
) -> None:
    fill()
    came = stores.arrival(SERVER, REPORTED_AT - 2, ArrivalState.INCOMING)
    objects.store_batch(store, Batch(host="dest", node="dest.lab", arrivals=(came,)), REPORTED_AT)

    for path in (ONE, "/migrations", f"/servers/{SERVER}/migrations", "/hosts/source/drain"):
        older, newer = _shown(client, path, "1.0"), _shown(client, path, "1.1")
        assert newer == older | {"arrived_at": "2023-11-14T22:13:18.500000Z"}, path
        assert "arrived_at" not in older


def _shown(client: testing.TestClient, path: str, version: str) -> dict[str, Any]:
    """The first migration of an answer in a version."""
    headers = {HEADER: f"migration-progress {version}"}
    answer = client.simulate_get(path, headers=headers).json
    migrations = answer.get("migrations") or answer.get("drain", {}).get("migrations")
    found: dict[str, Any] = answer["migration"] if migrations is None else migrations[0]
    return found


def test_advice_is_there_since_1_2(client: testing.TestClient, fill: Fill) -> None:
    steps: list[Any] = [None, [], [ADVICE, {**ADVICE, "works_by": None, "state": "done"}]]
    for sequence, advice in enumerate(steps, 1):
        server = str(uuid.UUID(int=sequence))
        fill(server_uuid=server, advice=advice, last_reported_at=REPORTED_AT)
        path = f"/servers/{server}/migrations"
        older, newer = _shown(client, path, "1.1"), _shown(client, path, "1.2")
        assert "advice" not in older
        assert newer == older | {"advice": newer["advice"]}
        assert (newer["advice"] is None) == (advice is None)
        assert len(newer["advice"] or []) == len(advice or [])
    path = f"/servers/{uuid.UUID(int=len(steps))}/migrations"
    first, second = _shown(client, path, "1.2")["advice"]
    assert first == {
        "at": "2023-11-14T22:13:18.500000Z",
        "action": "raise-downtime",
        "reason": "not-converging",
        "message": "raise it",
        "figures": {"downtime_limit_seconds": 1.25, "level_starts": 3},
        "works_by": "2023-11-14T22:15:18.500000Z",
        "state": "advised",
        "score": None,
        "score_message": None,
    }
    assert second == first | {"works_by": None, "state": "done"}


def test_advice_is_scored_once_the_migration_has_ended(
    client: testing.TestClient, fill: Fill
) -> None:
    advised = {**ADVICE, "at": REPORTED_AT - 60}
    advice = [advised, {**advised, "state": "done"}]
    ended = {"status": Status.CANCELLED, "phase": Phase.DONE, "ended_at": REPORTED_AT - 48}
    fill(server_uuid=SERVER, advice=advice, last_reported_at=REPORTED_AT, **ended)
    shown = _shown(client, f"/servers/{SERVER}/migrations", "1.2")["advice"]
    assert [(each["score"], each["score_message"]) for each in shown] == [
        (None, "raise-downtime advised; not done; it was aborted 12 s later"),
        ("in-vain", "raise-downtime advised; done; it was aborted 12 s later"),
    ]


def test_actions_are_there_since_1_5_with_who_asked(client: testing.TestClient, fill: Fill) -> None:
    fill(actions=(ACTION,), status=Status.CANCELLED, phase=Phase.DONE, ended_at=REPORTED_AT)
    older, newer = _shown(client, ONE, "1.4"), _shown(client, ONE, "1.5")
    assert newer == older | {"actions": newer["actions"]}
    (action,) = newer["actions"]
    started_at = datetime.datetime.fromisoformat(newer["started_at"])
    at = datetime.datetime.fromisoformat(action.pop("at"))
    assert (at - started_at).total_seconds() == ACTION["after_seconds"]
    assert action == {name: value for name, value in ACTION.items() if name != "after_seconds"}
    (taken,), (before,) = (
        client.simulate_get(
            f"{ONE}/summary", headers={HEADER: f"migration-progress {version}"}
        ).json["summary"]["actions"]
        for version in ("1.5", "1.3")
    )
    who = {"user_id": ACTION["user_id"], "project_id": ACTION["project_id"]}
    assert taken == before | who
    assert (taken["action"], taken["by"], taken["failed"]) == ("abort", "operator", False)


def test_summary_and_its_link_are_there_since_1_3(client: testing.TestClient, fill: Fill) -> None:
    fill()
    older, newer = _shown(client, ONE, "1.2"), _shown(client, ONE, "1.3")
    (link,) = [each for each in newer["links"] if each not in older["links"]]
    assert newer == older | {"links": newer["links"]}
    assert link == {"rel": "summary", "href": f"{newer['links'][0]['href']}/summary"}
    for version, code in (("1.0", 404), ("1.2", 404), ("1.3", 200), ("latest", 200)):
        headers = {HEADER: f"migration-progress {version}"}
        answer = client.simulate_get(f"{ONE}/summary", headers=headers)
        assert answer.status_code == code
        if code == 404:
            error_of(answer, ErrorCode.NO_SUCH_ADDRESS)


def test_expected_downtime_is_there_since_1_8(client: testing.TestClient, fill: Fill) -> None:
    fill(expected_downtime_seconds=0.25)
    older, newer = _shown(client, ONE, "1.7"), _shown(client, ONE, "1.8")
    assert newer == older | {"expected_downtime_seconds": 0.25}
    assert "expected_downtime_seconds" not in older


def test_versions_have_no_gap_and_the_page_says_what_each_brought() -> None:
    assert list(HISTORY) == [Version(1, minor) for minor in range(len(HISTORY))]
    for version, brought in HISTORY.items():
        assert f"{version}\n    {brought}\n" in PAGE

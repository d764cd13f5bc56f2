# SPDX-License-Identifier: Apache-2.0
"""What version a request speaks, and that every answer names it."""

import uuid

import pytest
from falcon import testing

from migprog.tests.unit.api.conftest import SERVER, Fill
from migprog.tests.unit.api.nova.conftest import NOBODY, Ask, V, refusal

NEW, OLD = "OpenStack-API-Version", "X-OpenStack-Nova-API-Version"


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, "2.1"),
        ({NEW: "compute 2.1"}, "2.1"),
        ({NEW: "compute 2.80"}, "2.80"),
        ({NEW: "compute 2.104"}, "2.104"),
        ({NEW: "compute latest"}, "2.104"),
        ({NEW: "Compute   2.59"}, "2.59"),
        ({NEW: "volume 3.0, compute 2.59"}, "2.59"),
        ({NEW: "compute 2.59, volume 3.0"}, "2.59"),
        ({OLD: "2.24"}, "2.24"),
        ({OLD: "latest"}, "2.104"),
        ({NEW: "compute 2.80", OLD: "2.24"}, "2.80"),
        # Another service's, or nobody's.
        ({NEW: "nova 2.59"}, "2.1"),
        ({NEW: "2.59"}, "2.1"),
        ({NEW: "nova 2.59", OLD: "2.24"}, "2.24"),
    ],
)
def test_version_of_a_request(
    client: testing.TestClient, headers: dict[str, str], version: str
) -> None:
    answer = client.simulate_get(f"{V}/os-migrations", headers=headers)
    assert answer.status_code == 200
    assert answer.headers[NEW] == f"compute {version}"
    assert answer.headers[OLD] == version


@pytest.mark.parametrize(
    "text",
    [
        *("abc", "2.080", "2.", ".1", "02.1", "2.59 x", "2.1.1", "-2.1", "2.x", "2.\u0663"),
        *("2." + "9" * 400, "2.1_0", "+2.1", "LATEST", "null"),
    ],
)
@pytest.mark.parametrize(("header", "before"), [(NEW, "compute "), (OLD, "")])
def test_invalid_version_is_refused(
    client: testing.TestClient, header: str, before: str, text: str
) -> None:
    value = (before + text).encode().decode("latin-1")
    answer = client.simulate_get(f"{V}/os-migrations", headers={header: value})
    code, name, message = refusal(answer)
    assert (code, name) == (400, "badRequest")
    assert message.startswith("API Version String ")
    assert message.endswith(" is of invalid format. Must be of format MajorNum.MinorNum.")
    assert len(message) < 200
    assert NEW not in answer.headers
    assert answer.headers["vary"] == f"{NEW}, {OLD}"


@pytest.mark.parametrize("version", ["2.0", "2.105", "2.999", "1.1", "3.0", "999999999.1"])
@pytest.mark.parametrize("path", ["", "/", "/os-migrations", f"/servers/{SERVER}/migrations"])
def test_unsupported_version_is_406(ask: Ask, path: str, version: str) -> None:
    answer = ask(path, version)
    assert answer.headers[OLD] == version
    assert refusal(answer) == (
        406,
        "computeFault",
        f"Version {version} is not supported by the API. Minimum is 2.1 and maximum is 2.104.",
    )


def test_every_answer_has_its_version_and_request_id(ask: Ask, fill: Fill) -> None:
    fill()
    seen = set()
    for method, path, code in (
        ("GET", "", 200),
        ("GET", "/", 200),
        ("GET", "/os-migrations", 200),
        ("GET", f"/servers/{SERVER}", 200),
        ("GET", f"/servers/{SERVER}/migrations/1", 200),
        ("GET", f"/servers/{NOBODY}", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/os-migrations", 404),
        ("GET", "/os-migrations?limit=x", 400),
        ("GET", "/os-migrations?host=" + "h" * 5000, 414),
        ("DELETE", f"/servers/{SERVER}/migrations/1", 501),
        ("POST", f"/servers/{SERVER}/migrations/1/action", 400),
    ):
        answer = ask(path, "2.80", method)
        assert answer.status_code == code, path
        assert answer.headers[NEW] == "compute 2.80", path
        assert answer.headers[OLD] == "2.80"
        assert answer.headers["vary"] == f"{NEW}, {OLD}"
        assert answer.headers["x-content-type-options"] == "nosniff"
        request = answer.headers["x-openstack-request-id"]
        assert request == answer.headers["x-compute-request-id"]
        assert uuid.UUID(request.removeprefix("req-"))
        seen.add(request)
    assert len(seen) == 12


def test_native_api_ignores_a_microversion_of_nova(client: testing.TestClient, fill: Fill) -> None:
    fill()
    for path in ("/", "/migrations", "/nowhere", "/v2.10", "/v2"):
        answer = client.simulate_get(path, headers={NEW: "compute abc"})
        assert answer.status_code in (200, 404)
        assert answer.headers[NEW] == "migration-progress 1.0"
        assert OLD not in answer.headers
        assert "x-compute-request-id" not in answer.headers

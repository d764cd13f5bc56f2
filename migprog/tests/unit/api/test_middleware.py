# SPDX-License-Identifier: Apache-2.0
"""What oslo.middleware does for us: pages of other origins, and the size of bodies."""

from typing import Any

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.api.error_codes import ErrorCode
from migprog.conf import middleware
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration, error_of
from migprog.tests.unit.api.tokens import FakeKeystone

ORIGIN = "https://dashboard.example.org"
OURS, NOVAS = f"/servers/{SERVER}/migrations/1", f"/v2.1/servers/{SERVER}/migrations/1"
ACTION = f"{NOVAS}/action"
PATHS = ["/", "/migrations", OURS, NOVAS, ACTION, "/v2.1/", "/nowhere"]


@pytest.fixture
def shared(store: objects.Store, connection: str) -> testing.TestClient:
    """With tokens, for pages of one other origin."""
    conf = configuration(connection, auth_strategy="keystone")
    middleware.register_opts(conf)
    conf.set_override("allowed_origin", [ORIGIN], "cors")
    return client_of(app.create(conf, store, FakeKeystone))


def preflight(
    client: testing.TestClient, path: str, method: str = "GET", *names: str, origin: str = ORIGIN
) -> testing.Result:
    """What a browser asks before it lets a page ask."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if names:
        headers["Access-Control-Request-Headers"] = ", ".join(names)
    return client.simulate_options(path, headers=headers)


def shared_with(answer: testing.Result) -> str | None:
    return answer.headers.get("access-control-allow-origin")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_preflight_requests_are_answered(
    shared: testing.TestClient, path: str, method: str
) -> None:
    names = ("x-auth-token", "openstack-api-version", "if-none-match", "content-type")
    answer = preflight(shared, path, method, *names)
    assert (answer.status_code, shared_with(answer)) == (204, ORIGIN)
    assert answer.headers["access-control-allow-methods"] == method
    assert answer.headers["access-control-allow-headers"] == ",".join(names)
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["x-openstack-request-id"]


@pytest.mark.parametrize(
    "asked",
    [
        {"origin": "https://elsewhere.example.org"},
        {"origin": "null"},
        {"method": "PUT"},
        {"names": ("cookie",)},
    ],
)
def test_preflight_of_another_origin_is_refused(
    shared: testing.TestClient, asked: dict[str, Any]
) -> None:
    names = asked.pop("names", ())
    answer = preflight(shared, OURS, asked.pop("method", "GET"), *names, **asked)
    assert shared_with(answer) is None


@pytest.mark.parametrize("path", [OURS, NOVAS, "/nowhere", "/v2.1/nowhere"])
def test_a_page_reads_our_headers_and_errors_too(
    shared: testing.TestClient, fill: Fill, path: str
) -> None:
    fill()
    for token, code in (("admin", 404 if "nowhere" in path else 200), ("wrong", 401)):
        headers = {"Origin": ORIGIN, "X-Auth-Token": token, "OpenStack-API-Version": "compute 2.80"}
        answer = shared.simulate_get(path, headers=headers)
        assert (answer.status_code, shared_with(answer)) == (code, ORIGIN)
        exposed = answer.headers["access-control-expose-headers"].split(",")
        assert {"ETag", "X-OpenStack-Request-Id", "OpenStack-API-Version"} <= set(exposed)
        # Caches must tell apart what each of them does.
        varies = {each.strip() for each in answer.headers["vary"].split(",")}
        assert "Origin" in varies
        assert "OpenStack-API-Version" in varies
        assert shared_with(shared.simulate_get(path, headers=headers | {"Origin": "null"})) is None


def test_page_of_an_allowed_origin_gets_304(shared: testing.TestClient, fill: Fill) -> None:
    fill()
    headers = {"Origin": ORIGIN, "X-Auth-Token": "admin"}
    tag = shared.simulate_get(OURS, headers=headers).headers["etag"]
    answer = shared.simulate_get(OURS, headers=headers | {"If-None-Match": tag})
    assert (answer.status_code, shared_with(answer), answer.content) == (304, ORIGIN, b"")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shared_by_default(client: testing.TestClient, path: str) -> None:
    assert shared_with(preflight(client, path)) is None
    assert shared_with(client.simulate_get(path, headers={"Origin": ORIGIN})) is None


@pytest.mark.parametrize("size", [middleware.MAX_BODY_BYTES, middleware.MAX_BODY_BYTES + 1])
@pytest.mark.parametrize("path", [OURS, ACTION])
def test_large_body_is_refused_in_the_form_of_its_api(
    client: testing.TestClient, fill: Fill, path: str, size: int
) -> None:
    fill()
    body = '{"force_complete": null}'.ljust(size)
    headers = {"OpenStack-API-Version": "compute 2.80", "Content-Type": "application/json"}
    answer = client.simulate_post(path, body=body, headers=headers)
    if size > middleware.MAX_BODY_BYTES:
        if path == OURS:
            error_of(answer, ErrorCode.BODY_TOO_LARGE)
        else:
            assert (answer.status_code, answer.json["overLimit"]["code"]) == (413, 413)
        assert answer.headers["content-type"].startswith("application/json")
    else:
        assert answer.status_code == (405 if path == OURS else 501)


def test_the_bound_is_an_option(store: objects.Store, connection: str, fill: Fill) -> None:
    fill()
    conf = configuration(connection)
    client = client_of(app.create(conf, store))
    conf.set_override("max_request_body_size", 10, "oslo_middleware")
    headers = {"Content-Type": "application/json"}
    assert client.simulate_post(ACTION, body="x" * 11, headers=headers).status_code == 413
    assert client.simulate_post(ACTION, body="x" * 10, headers=headers).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("POST", ACTION), ("DELETE", NOVAS)])
def test_body_without_a_length_is_refused(
    client: testing.TestClient, fill: Fill, method: str, path: str
) -> None:
    """Who counts as he reads may have read too much already."""
    fill()
    answer = client.simulate_request(method, path, headers={"Transfer-Encoding": "chunked"})
    assert (answer.status_code, answer.json["computeFault"]["code"]) == (411, 411)
    assert "Content-Length" in answer.json["computeFault"]["message"]


def test_large_body_is_refused_before_the_token_is_validated(shared: testing.TestClient) -> None:
    for path in (OURS, ACTION):
        answer = shared.simulate_post(path, body="x" * (middleware.MAX_BODY_BYTES + 1))
        assert answer.status_code == 413

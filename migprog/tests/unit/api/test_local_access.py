# SPDX-License-Identifier: Apache-2.0
"""Without tokens only this machine is answered, and none of the web pages that it shows."""

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app, local_access
from migprog.api.error_codes import ErrorCode
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration, error_of

LOCAL = ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"]
AFAR = [
    *("192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1", "::ffff:10.0.0.1", "fe80::1"),
    *("128.0.0.1", "126.255.255.255", "127.1", "localhost", "", " ", "127.0.0.1.evil", "unknown"),
]


@pytest.mark.parametrize("address", LOCAL)
def test_this_machine_needs_no_token(client: testing.TestClient, address: str) -> None:
    assert client.simulate_get("/migrations", remote_addr=address).status_code == 200
    assert local_access.is_local({"REMOTE_ADDR": address})


@pytest.mark.parametrize("address", AFAR)
def test_other_machines_are_refused_without_tokens(
    client: testing.TestClient, address: str
) -> None:
    assert not local_access.is_local({"REMOTE_ADDR": address})
    for path in ("/", "/healthcheck", "/migrations", "/nowhere"):
        answer = client.simulate_get(path, extras={"REMOTE_ADDR": address})
        assert "loopback" in error_of(answer, ErrorCode.LOCAL_ONLY)["detail"], path


@pytest.mark.parametrize(
    ("headers", "is_here"),
    [
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, True),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1, ::1"}, True),
        ({"HTTP_X_FORWARDED_FOR": "192.0.2.1"}, False),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1, 192.0.2.1"}, False),
        ({"HTTP_X_FORWARDED_FOR": "192.0.2.1, 127.0.0.1"}, False),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, True),
        ({"HTTP_FORWARDED": 'for="[::1]"; proto=https'}, True),
        ({"HTTP_FORWARDED": "proto=https"}, True),
        ({"HTTP_FORWARDED": "for=192.0.2.1"}, False),
        ({"HTTP_FORWARDED": "For=127.0.0.1, for=192.0.2.1;by=127.0.0.1"}, False),
        ({"HTTP_FORWARDED": 'for="[2001:db8::1]:4711"'}, False),
        ({"HTTP_FORWARDED": "for=unknown"}, False),
        ({"HTTP_FORWARDED": "for=_hidden"}, False),
        ({"HTTP_X_REAL_IP": "127.0.0.1"}, True),
        ({"HTTP_X_REAL_IP": "192.0.2.1"}, False),
        ({"HTTP_VIA": "1.1 proxy.example"}, False),
        ({"HTTP_X_CLIENT_IP": "127.0.0.1"}, True),
        ({"HTTP_X_CLIENT_IP": "192.0.2.1"}, False),
        ({"HTTP_CLIENT_IP": "192.0.2.1"}, False),
        ({"HTTP_X_CLUSTER_CLIENT_IP": "192.0.2.1"}, False),
        ({"HTTP_TRUE_CLIENT_IP": "192.0.2.1"}, False),
        ({"HTTP_CF_CONNECTING_IP": "192.0.2.1"}, False),
        ({"HTTP_X_FORWARDED_SERVER": "proxy.example"}, False),
        ({"HTTP_X_FORWARDED_HOST": "cloud.example"}, False),
        ({"HTTP_X_FORWARDED_HOST": "localhost:8790"}, True),
        ({"HTTP_X_FORWARDED_HOST": "localhost, cloud.example"}, False),
    ],
)
def test_request_through_a_local_proxy_is_refused(headers: dict[str, str], is_here: bool) -> None:
    assert local_access.is_local({"REMOTE_ADDR": "127.0.0.1", **headers}) is is_here


def test_no_address_is_no_local_one() -> None:
    assert not local_access.is_local({})


def test_a_forwarded_address_does_not_make_a_peer_local(
    store: objects.Store, connection: str
) -> None:
    conf = configuration(connection)
    application = app.create(conf, store)
    conf.set_override("enable_proxy_headers_parsing", True, "oslo_middleware")
    answer = client_of(application).simulate_get(
        "/", remote_addr="192.0.2.1", headers={"X-Forwarded-For": "127.0.0.1"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8790", "LOCALHOST", "127.0.0.1", "127.0.0.1:8790", "127.1.2.3:1"),
        *("[::1]", "[::1]:8790", "controller", "Controller:99", None),
    ],
)
def test_a_host_header_may_name_this_machine(host: str | None) -> None:
    assert local_access.names_this_machine(host, {"controller"})


FOREIGN_HOSTS = [
    *("evil.example", "evil.example:8790", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("192.0.2.1:8790", "[2001:db8::1]", "", " ", ":8790", "localhost:x", "localhost:99999"),
    *("evil@localhost", "localhost@evil", "localhost/evil", "localhost?", "localhost#", "[::1"),
    *("127.1", "2130706433", "0", "0.0.0.0", "localhost.", "xn--localhost"),
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_unknown_host_header_is_refused(client: testing.TestClient, fill: Fill, host: str) -> None:
    """A page whose name resolves to the loopback address (DNS rebinding) says its own name."""
    assert not local_access.names_this_machine(host, {"controller"})
    fill()
    for method, path in (("GET", "/migrations"), ("GET", "/"), ("DELETE", f"/servers/{SERVER}")):
        answer = client.simulate_request(method, path, headers={"Host": host})
        error_of(answer, ErrorCode.LOCAL_ONLY)
        assert "Host must be localhost" in answer.text
        assert SERVER not in answer.text


def test_the_host_of_bind_host_is_accepted(store: objects.Store, connection: str) -> None:
    conf = configuration(connection, bind_port=0)
    assert client_of(app.create(conf, store)).simulate_get("/", host="127.0.0.1").status_code == 200


def test_a_host_header_is_free_where_a_token_is_needed(
    store: objects.Store, connection: str
) -> None:
    conf = configuration(connection, auth_strategy="keystone")
    client = client_of(app.create(conf, store, lambda application: application))
    assert client.simulate_get("/", host="cloud.example").status_code == 200


_OWN = "http://localhost"
_ACTION = f"/servers/{SERVER}/migrations/1/action"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", ""])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", _ACTION), ("DELETE", _ACTION), ("GET", "/migrations")]
)
def test_a_foreign_page_is_refused(
    client: testing.TestClient, fill: Fill, method: str, path: str, origin: str
) -> None:
    fill()
    for more in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}):
        answer = client.simulate_request(method, path, headers={"Origin": origin} | more)
        error_of(answer, ErrorCode.LOCAL_ONLY)
        assert "Origin must be this API" in answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "of-a-later-version"])
def test_a_foreign_site_without_an_origin_can_change_nothing(
    client: testing.TestClient, fill: Fill, site: str
) -> None:
    fill()
    headers = {"Sec-Fetch-Site": site}
    for method in ("POST", "DELETE"):
        answer = client.simulate_request(method, _ACTION, headers=headers)
        error_of(answer, ErrorCode.LOCAL_ONLY)
    assert client.simulate_get("/migrations", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": _OWN}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_its_own_pages_and_its_user_may_ask(
    client: testing.TestClient, fill: Fill, headers: dict[str, str]
) -> None:
    fill()
    assert client.simulate_get("/migrations", headers=headers).status_code == 200
    answer = client.simulate_post(_ACTION, headers=headers, json={"force_complete": None})
    assert ErrorCode.LOCAL_ONLY not in answer.text


def test_a_page_of_an_allowed_origin_may_ask(store: objects.Store, connection: str) -> None:
    conf = configuration(connection)
    app.create(conf, store)  # registers the options of CORS
    conf.set_override("allowed_origin", ["http://dashboard.example"], "cors")
    client = client_of(app.create(conf, store))
    for origin, code in (("http://dashboard.example", 200), ("http://evil.example", 403)):
        assert client.simulate_get("/migrations", headers={"Origin": origin}).status_code == code

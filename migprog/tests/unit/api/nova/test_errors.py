# SPDX-License-Identifier: Apache-2.0
"""Refusals in Nova's form, whoever refuses; and a user without the right reads nothing."""

import pytest
from falcon import testing
from keystoneauth1 import loading

from migprog import objects
from migprog.api import app
from migprog.api import keystone as api_keystone
from migprog.api.nova import app as nova
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration
from migprog.tests.unit.api.nova.conftest import NOT_FOUND, Ask, V, asking, refusal
from migprog.tests.unit.api.test_auth import STRANGERS
from migprog.tests.unit.api.tokens import PROJECT, keystone_client

_KEYSTONE = "keystone_authtoken"


def paths() -> list[str]:
    """Every route but discovery, without and with a project, for the first migration of SERVER."""
    return [
        project + path.format(server_id=SERVER, number=1)
        for path in nova.ROUTES
        for project in ("", f"/{PROJECT}")
    ]


def methods(path: str) -> list[str]:
    return ["POST"] if path.endswith("/action") else ["GET"]


def test_nothing_is_at_other_addresses(ask: Ask, fill: Fill) -> None:
    fill()
    for path in (
        *("/nowhere", "/os-migrations/", "/os-migrations/1", "/servers/", "//servers", "/x/y/z"),
        *(f"/servers/{SERVER}/", f"/servers/{SERVER}/migrations/", f"/a%20b/servers/{SERVER}"),
        *(f"/a/b/servers/{SERVER}", "/%00/os-migrations", f"/{'p' * 256}/os-migrations"),
        f"/servers/{SERVER}/migrations/1/action/",
    ):
        assert refusal(ask(path)) == (404, "itemNotFound", NOT_FOUND), path


def test_nothing_can_be_done_in_other_ways(ask: Ask, fill: Fill) -> None:
    """Nova does not distinguish a wrong method from a wrong address."""
    fill()
    for path in ["", "/", *paths()]:
        there = methods(path) + (["DELETE"] if path.endswith("/1") else [])
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - set(there):
            answer = ask(path, method=method)
            assert answer.status_code == 404, (method, path)
            assert "allow" not in answer.headers
            if method != "HEAD":
                assert refusal(answer) == (404, "itemNotFound", NOT_FOUND)


def test_bounds(ask: Ask) -> None:
    assert refusal(ask("/os-migrations?host=" + "h" * 5000))[:2] == (414, "computeFault")
    assert refusal(ask("/os-migrations", body="{}"))[:2] == (413, "overLimit")


@pytest.mark.parametrize(
    "away", ["sqlite:///{}/no-tables.sqlite", "mysql+pymysql://migprog:secret@127.0.0.1:1/migprog"]
)
def test_without_a_database(tmp_path: object, away: str) -> None:
    conf = configuration(away.format(tmp_path))
    ask = asking(client_of(app.create(conf, objects.connect(conf))))
    for path in paths():
        body = '{"force_complete": null}' if path.endswith("action") else None
        answer = ask(path, method=methods(path)[0], body=body)
        assert refusal(answer)[:2] == (503, "serviceUnavailable"), path
        assert int(answer.headers["retry-after"]) > 0
        for secret in ("secret", "sqlite", "Traceback", "pymysql", "127.0.0.1"):
            assert secret not in answer.text
    assert ask("/").status_code == 200


def test_unexpected_exception_is_500_in_novas_form(
    ask: Ask, store: objects.Store, fill: Fill, caplog: pytest.LogCaptureFixture
) -> None:
    fill()
    with store.engine.begin() as sql:
        sql.exec_driver_sql("UPDATE migrations SET created_at = 'unheard of'")
    answer = ask("/os-migrations", "2.80")
    assert refusal(answer)[:2] == (500, "computeFault")
    assert answer.headers["openstack-api-version"] == "compute 2.80"
    assert "unheard" not in answer.text
    assert "unheard of" in caplog.text


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("headers", STRANGERS)
def test_request_without_a_token_reaches_discovery_only(
    store: objects.Store, connection: str, fill: Fill, headers: dict[str, str], lenient: bool
) -> None:
    fill()
    ask = asking(keystone_client(store, connection, lenient))
    for path in [*paths(), "/nowhere", "//", "/servers/../"]:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
            answer = ask(path, "2.80", method, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert SERVER not in answer.text
        answer = ask(path, "2.80", headers=headers)
        assert refusal(answer)[:2] == (401, "unauthorized")
        assert answer.headers["openstack-api-version"] == "compute 2.80"
    for path in ("", "/"):
        assert ask(path, "2.80", headers=headers).status_code == 200


def test_an_admin_may(store: objects.Store, connection: str, fill: Fill) -> None:
    fill()
    ask = asking(keystone_client(store, connection))
    for path in paths():
        body = '{"force_complete": null}' if path.endswith("action") else None
        answer = ask(path, method=methods(path)[0], body=body, headers={"X-Auth-Token": "admin"})
        assert answer.status_code == (501 if body else 200), path


def test_the_project_in_the_address_must_be_the_tokens(
    store: objects.Store, connection: str, fill: Fill
) -> None:
    fill()
    ask = asking(keystone_client(store, connection))
    headers = {"X-Auth-Token": "admin", "X-Project-Id": "another"}
    message = (
        "Malformed request URL: URL's project_id 'another' doesn't match "
        f"Context's project_id '{PROJECT}'"
    )
    for path in ("/os-migrations", f"/servers/{SERVER}", f"/servers/{SERVER}/migrations"):
        assert ask(f"/{PROJECT}{path}", headers=headers).status_code == 200
        answer = ask(f"/another{path}", headers=headers)
        assert refusal(answer) == (400, "badRequest", message)


def test_only_this_machine_is_answered_without(client: testing.TestClient) -> None:
    for path in (V, f"{V}/os-migrations", f"{V}/nowhere"):
        answer = client.simulate_get(path, extras={"REMOTE_ADDR": "192.0.2.1"})
        code, name, message = refusal(answer)
        assert (code, name) == (403, "forbidden")
        assert "loopback" in message
        assert answer.headers["openstack-api-version"] == "compute 2.1"


def test_keystone_that_does_not_answer(store: objects.Store, connection: str) -> None:
    """The real middleware: its refusals have Nova's form too, and it is not asked for discovery."""
    conf = configuration(connection, auth_strategy="keystone")
    loading.register_auth_conf_options(conf, _KEYSTONE)
    conf.register_opts(loading.get_auth_plugin_conf_options("v3token"), _KEYSTONE)
    conf.set_override("auth_type", "v3token", _KEYSTONE)
    conf.set_override("auth_url", "http://127.0.0.1:1/v3", _KEYSTONE)
    api_keystone.authenticated(
        conf, app.create(configuration(connection), store)
    )  # registers its options
    conf.set_override("www_authenticate_uri", "http://127.0.0.1:1/v3", _KEYSTONE)
    conf.set_override("http_request_max_retries", 0, _KEYSTONE)
    ask = asking(client_of(app.create(conf, store)))
    for headers, refused in (
        ({}, (401, "unauthorized")),
        ({"X-Auth-Token": "any"}, (503, "serviceUnavailable")),
    ):
        answer = ask("/os-migrations", "2.80", headers=headers)
        assert refusal(answer)[:2] == refused
        assert answer.headers["openstack-api-version"] == "compute 2.80"
    assert ask("", headers={"X-Auth-Token": "any"}).status_code == 200

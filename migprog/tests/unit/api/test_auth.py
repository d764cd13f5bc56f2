# SPDX-License-Identifier: Apache-2.0
"""A user without the right reads nothing, by whatever way the request comes."""

import pytest
from keystoneauth1 import loading

from migprog import SERVICE_TYPE, exception, objects
from migprog.api import app
from migprog.api import keystone as api_keystone
from migprog.api.error_codes import ErrorCode
from migprog.api.microversion import HEADER
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration, error_of
from migprog.tests.unit.api.test_routes import paths
from migprog.tests.unit.api.tokens import keystone_client

STRANGERS: list[dict[str, str]] = [
    {},
    {"X-Auth-Token": "wrong"},
    {"X-Roles": "admin"},
    {"X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-User-Id": "root"},
    {"X-Is-Admin-Project": "True", "X-Service-Roles": "admin"},
    {"OpenStack-System-Scope": "all", "X-Roles": "reader"},
]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("headers", STRANGERS)
def test_request_without_a_token_reaches_public_addresses_only(
    store: objects.Store, connection: str, fill: Fill, headers: dict[str, str], lenient: bool
) -> None:
    client = keystone_client(store, connection, lenient)
    routes = [*paths(*fill()), "/nowhere", "/healthcheck/", "//migrations", "/Healthcheck"]
    for path in routes:
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            answer = client.simulate_request(method, path, headers=headers)
            if path in ("/", "/healthcheck", "/openapi.json"):
                assert answer.status_code == (405 if method == "POST" else 200)
            else:
                assert answer.status_code == 401, (method, path)
                assert SERVER not in answer.text
        if path not in ("/", "/healthcheck", "/openapi.json"):
            error_of(client.simulate_get(path, headers=headers), ErrorCode.UNAUTHORIZED)


@pytest.mark.parametrize("token", ["admin", "loud"])
def test_an_admin_may(store: objects.Store, connection: str, fill: Fill, token: str) -> None:
    client = keystone_client(store, connection)
    headers = {"X-Auth-Token": token, HEADER: f"{SERVICE_TYPE} latest"}
    for path in paths(*fill()):
        answer = client.simulate_get(path, headers=headers, remote_addr="192.0.2.1")
        if path.endswith("/forecast"):
            error_of(answer, ErrorCode.NOT_MEASURED)
        else:
            assert answer.status_code == 200, path


_KEYSTONE = "keystone_authtoken"


def test_a_proxy_that_is_trusted_names_the_host_of_links(
    store: objects.Store, connection: str
) -> None:
    conf = configuration(connection)
    client = client_of(app.create(conf, store))
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost:8443"}
    for trusted, href in (
        (False, "http://localhost/migrations"),
        (True, "https://localhost:8443/migrations"),
    ):
        conf.set_override("enable_proxy_headers_parsing", trusted, "oslo_middleware")
        version = client.simulate_get("/", headers=headers).json["versions"][0]
        assert version["links"] == [{"rel": "self", "href": href}]


def test_keystone_that_does_not_answer(store: objects.Store, connection: str) -> None:
    """The real middleware: its refusals have our form too."""
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
    client = client_of(app.create(conf, store))
    for headers, code in (
        ({}, ErrorCode.UNAUTHORIZED),
        ({"X-Auth-Token": "any"}, ErrorCode.KEYSTONE_UNAVAILABLE),
    ):
        answer = client.simulate_get("/migrations", headers=headers)
        error_of(answer, code)
    assert client.simulate_get("/").status_code == 200


def test_missing_keystone_options_are_an_error_at_the_start(
    store: objects.Store, connection: str
) -> None:
    conf = configuration(connection, auth_strategy="keystone")
    with pytest.raises(exception.ConfigError, match=r"\[keystone_authtoken\] auth_type"):
        app.create(conf, store)

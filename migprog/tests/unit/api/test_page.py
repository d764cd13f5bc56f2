# SPDX-License-Identifier: Apache-2.0
"""The page at ``/ui/``: how its files are answered, and what the page alone may ask for."""

import gzip
from collections.abc import Mapping
from typing import Any

import pytest
import webob
from falcon import testing
from keystoneauth1 import exceptions

from migprog import objects, ui
from migprog.api import app, page_login
from migprog.api.error_codes import ErrorCode
from migprog.tests.unit.api.conftest import client_of, configuration, error_of
from migprog.tests.unit.api.tokens import keystone_client

# As the issue of the page has it, word for word.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
GIVEN = {"user": "ann", "user_domain": "Default", "password": "s3cret", "project": "red"}


def _files() -> list[str]:
    return [f"/ui/{name}" for name in ui.load("noauth", password_login=False)]


@pytest.mark.parametrize("path", _files())
def test_every_file_has_its_headers(client: testing.TestClient, path: str) -> None:
    answer = client.simulate_get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "openstack-api-version" not in answer.headers
    for_ever = "public, max-age=31536000, immutable"
    assert answer.headers["cache-control"] == ("no-cache" if path == "/ui/" else for_ever)


def test_file_is_compressed_for_who_accepts_that(client: testing.TestClient) -> None:
    plain = client.simulate_get("/ui/")
    packed = client.simulate_get("/ui/", headers={"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert plain.headers["etag"] == packed.headers["etag"]


def test_page_is_not_sent_again_while_it_is_the_same(client: testing.TestClient) -> None:
    tag = client.simulate_get("/ui/").headers["etag"]
    again = client.simulate_get("/ui/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.simulate_get("/ui/", headers={"If-None-Match": '"x"'}).status_code == 200


def test_address_without_a_slash_leads_to_the_page(client: testing.TestClient) -> None:
    answer = client.simulate_get("/ui")
    assert (answer.status_code, answer.headers["location"]) == (308, "http://localhost/ui/")


def test_head_has_no_body(client: testing.TestClient) -> None:
    answer = client.simulate_head("/ui/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_nothing_else_is_there(client: testing.TestClient) -> None:
    for path in ("/ui/x", "/ui/../setup.cfg", "/ui//etc/passwd", "/ui/index.html", "/ui/login"):
        error_of(client.simulate_get(path), ErrorCode.NO_SUCH_ADDRESS)
    answer = client.simulate_post("/ui/")
    error_of(answer, ErrorCode.METHOD_NOT_ALLOWED)
    assert answer.headers["allow"] == "GET, HEAD"


def test_page_can_be_turned_off(store: objects.Store, connection: str) -> None:
    client = client_of(app.create(configuration(connection, ui_enabled=False), store))
    for path in ("/ui", "/ui/", "/ui/access"):
        error_of(client.simulate_get(path), ErrorCode.NO_SUCH_ADDRESS)


def test_without_keystone_a_page_on_this_machine_may_do_all(client: testing.TestClient) -> None:
    found = client.simulate_get("/ui/access").json
    assert {name for name, value in found.items() if value is True} == {
        *("abort", "force_complete", "hosts", "agents", "drain")
    }
    assert found["actions"] is False, "[api] allow_actions is"


def test_without_keystone_the_page_is_for_this_machine_alone(client: testing.TestClient) -> None:
    for environ in ({"REMOTE_ADDR": "192.0.2.1"}, {"HTTP_HOST": "evil.example"}):
        answer = client.simulate_get("/ui/", extras=environ)
        error_of(answer, ErrorCode.LOCAL_ONLY)


class TestLogin:
    """``POST /ui/login``, with a Keystone of one password."""

    @pytest.fixture
    def asked(self) -> list[Mapping[str, str]]:
        return []

    @pytest.fixture
    def login(self, asked: list[Mapping[str, str]]) -> page_login.Login:
        def ask(given: Mapping[str, str]) -> tuple[str, str]:
            asked.append(given)
            if given["password"] == "hang":
                raise TimeoutError("no answer within 5 s")
            if given["password"] != GIVEN["password"]:
                raise exceptions.Unauthorized("user ann exists, the password does not match")
            return "a-token", "2026-01-01T00:00:00+00:00"

        return page_login.Login(ask)

    def post(self, login: page_login.Login, given: Any, **environ: str) -> webob.Response:
        request = webob.Request.blank("/ui/login", method="POST", json=given)
        json_type = {"CONTENT_TYPE": "application/json"}
        request.environ |= {"REMOTE_ADDR": "192.0.2.1"} | json_type | environ
        return request.get_response(login)

    def code(self, answer: webob.Response) -> str:
        (error,) = answer.json["errors"]
        assert error["status"] == answer.status_code
        assert answer.cache_control.no_store
        found: str = error["code"]
        return found

    def test_right_password_gives_a_token_that_is_not_stored(self, login, asked) -> None:
        answer = self.post(login, GIVEN)
        assert answer.json == {"token": "a-token", "expires_at": "2026-01-01T00:00:00+00:00"}
        assert answer.cache_control.no_store
        assert asked == [GIVEN]

    def test_wrong_password_does_not_say_what_is_wrong(self, login) -> None:
        answer = self.post(login, GIVEN | {"password": "x"})
        assert self.code(answer) == ErrorCode.LOGIN_REFUSED
        assert "exists" not in answer.text

    def test_keystone_that_hangs_is_503(self, login, caplog) -> None:
        answer = self.post(login, GIVEN | {"password": "hang"})
        assert self.code(answer) == ErrorCode.KEYSTONE_UNAVAILABLE

    def test_neither_password_nor_token_is_logged(self, login, caplog) -> None:
        caplog.set_level("DEBUG")
        for password in (GIVEN["password"], "wrong-one", "hang"):
            self.post(login, GIVEN | {"password": password})
        assert not any(each in caplog.text for each in ("s3cret", "wrong-one", "a-token"))

    @pytest.mark.parametrize(
        "given",
        [
            [],
            "x",
            {},
            GIVEN | {"more": "x"},
            GIVEN | {"password": 7},
            GIVEN | {"user": "x" * 256},
            {name: value for name, value in GIVEN.items() if name != "user"},
        ],
    )
    def test_other_bodies_are_refused_unasked(self, login, asked, given) -> None:
        assert self.code(self.post(login, given)) == ErrorCode.INVALID_BODY
        assert not asked

    def test_large_body_is_refused_unread(self, login, asked) -> None:
        answer = self.post(login, GIVEN | {"password": "x" * 20_000})
        assert self.code(answer) == ErrorCode.BODY_TOO_LARGE
        assert not asked

    def test_pages_of_other_sites_cannot_ask(self, login, asked) -> None:
        answer = self.post(login, GIVEN, HTTP_SEC_FETCH_SITE="cross-site")
        assert self.code(answer) == ErrorCode.POLICY_DENIED
        answer = self.post(login, GIVEN, CONTENT_TYPE="text/plain")
        assert self.code(answer) == ErrorCode.UNSUPPORTED_MEDIA_TYPE
        assert not asked

    def test_attempts_of_an_address_are_limited(self, login, asked) -> None:
        wrong = GIVEN | {"password": "x"}
        codes = [self.code(self.post(login, wrong)) for _ in range(page_login.MOST_OF_ADDRESS)]
        assert set(codes) == {ErrorCode.LOGIN_REFUSED}
        answer = self.post(login, GIVEN)
        assert self.code(answer) == ErrorCode.TOO_MANY_LOGINS
        assert answer.headers["Retry-After"] == "60"
        assert len(asked) == page_login.MOST_OF_ADDRESS
        assert self.post(login, GIVEN, REMOTE_ADDR="192.0.2.2").status_code == 200


def test_attempts_of_all_addresses_are_limited_and_pass_with_time() -> None:
    now = [0.0]
    attempts = page_login.Attempts(lambda: now[0])
    assert all(attempts.take(str(number)) for number in range(page_login.MOST_OF_ALL))
    assert not attempts.take("another")
    now[0] = 60.0
    assert attempts.take("another")


def test_password_is_not_passed_on_unless_that_is_configured(
    store: objects.Store, connection: str
) -> None:
    client = keystone_client(store, connection)
    error_of(client.simulate_post("/ui/login", json=GIVEN), ErrorCode.NO_SUCH_ADDRESS)


def test_with_keystone_the_page_needs_no_token_and_its_rights_do(
    store: objects.Store, connection: str
) -> None:
    client = keystone_client(store, connection)
    assert client.simulate_get("/ui/").status_code == 200
    error_of(client.simulate_get("/ui/access"), ErrorCode.UNAUTHORIZED)


@pytest.mark.parametrize(
    ("token", "rights"),
    [
        ("reader", set()),
        ("manager", {"abort", "force_complete"}),
        ("admin", {"abort", "force_complete", "hosts", "agents", "drain"}),
        ("system-reader", {"hosts", "agents", "drain"}),
    ],
)
def test_page_offers_what_the_policy_permits(
    store: objects.Store, connection: str, token: str, rights: set[str]
) -> None:
    client = keystone_client(store, connection)
    answer = client.simulate_get("/ui/access", headers={"X-Auth-Token": token})
    assert {name for name, value in answer.json.items() if value is True} == rights
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.json["user_id"] == "somebody"

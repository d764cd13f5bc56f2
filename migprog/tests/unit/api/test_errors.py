# SPDX-License-Identifier: Apache-2.0
"""Every refusal is JSON with its field and its rule; no answer shows how we are made."""

import http.client
import json
import socket
import uuid

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.api.error_codes import ErrorCode
from migprog.httpd import Server
from migprog.tests.unit.api.conftest import SERVER, Fill, client_of, configuration, error_of

NOBODY = str(uuid.UUID(int=99))
A_UUID = "must be a UUID, in its form with hyphens"
A_LIMIT = "must be a whole number from 1 to 1000"
A_HOST = "must be 1 to 255 characters, none of them a control character"
KNOWN = (
    "is unknown; known parameters: changed_since, host, in_progress, limit, marker, project_id, "
    "server_uuid, since, sort_dir, sort_key, status, verdict, wait"
)


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("limit=x", "limit", A_LIMIT),
        ("limit=", "limit", A_LIMIT),
        ("limit=0", "limit", A_LIMIT),
        ("limit=-1", "limit", A_LIMIT),
        ("limit=1.0", "limit", A_LIMIT),
        ("limit=1001", "limit", A_LIMIT),
        ("limit=" + "9" * 400, "limit", A_LIMIT),
        ("limit=%D9%A3", "limit", A_LIMIT),
        ("limit=1_0", "limit", A_LIMIT),
        ("marker=1", "marker", A_UUID),
        (f"marker={NOBODY.replace('-', '')}", "marker", A_UUID),
        ("server_uuid=web", "server_uuid", A_UUID),
        ("server_uuid=", "server_uuid", A_UUID),
        ("server_uuid=%27%20OR%201=1--", "server_uuid", A_UUID),
        ("in_progress=True", "in_progress", "must be true or false"),
        ("in_progress=1", "in_progress", "must be true or false"),
        ("in_progress", "in_progress", "must be true or false"),
        ("host=", "host", A_HOST),
        ("host=a%00b", "host", A_HOST),
        ("host=a%0Ab", "host", A_HOST),
        ("host=" + "h" * 256, "host", A_HOST),
        ("limit=1&limit=2", "limit", "must be given once"),
        ("hots=a", "hots", KNOWN),
        ("user_id=a", "user_id", KNOWN),
        ("Host=a", "Host", KNOWN),
        ("=a", "", KNOWN),
    ],
)
def test_a_bad_parameter_is_named_with_its_rule(
    client: testing.TestClient, query: str, field: str, rule: str
) -> None:
    answer = client.simulate_get("/migrations", query_string=query)
    error = error_of(answer, ErrorCode.INVALID_PARAMETER)
    assert error["title"] == "Bad Request"
    assert (error["field"], error["rule"]) == (field, rule)
    assert error["detail"].startswith(f"{field}: ")
    assert error["detail"].endswith(rule)


def test_the_message_shows_the_value(client: testing.TestClient) -> None:
    error = error_of(client.simulate_get("/migrations?limit=x"), ErrorCode.INVALID_PARAMETER)
    assert error["detail"] == "limit: 'x' must be a whole number from 1 to 1000"


def test_error_of_an_unknown_status_lists_the_known_ones(client: testing.TestClient) -> None:
    answer = client.simulate_get("/migrations?status=done")
    error = error_of(answer, ErrorCode.INVALID_PARAMETER)
    assert error["field"] == "status"
    assert error["rule"].startswith("must be one of: running, running (post-copy), ")


def test_an_unknown_marker(client: testing.TestClient, fill: Fill) -> None:
    fill()
    answer = client.simulate_get(f"/migrations?marker={NOBODY}")
    assert error_of(answer, ErrorCode.INVALID_PARAMETER)["field"] == "marker"


@pytest.mark.parametrize(
    "path", ["/", "/healthcheck", f"/servers/{SERVER}", f"/servers/{SERVER}/migrations/1/history"]
)
def test_where_nothing_can_be_chosen_nothing_is_taken(
    client: testing.TestClient, fill: Fill, path: str
) -> None:
    fill()
    error = error_of(client.simulate_get(f"{path}?limit=1"), ErrorCode.INVALID_PARAMETER)
    assert (error["field"], error["rule"]) == ("limit", "is unknown; known parameters: none")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/migrations/",
        "/servers",
        "/servers/",
        f"/servers/{NOBODY}",
        f"/servers/{NOBODY}/migrations",
        f"/servers/{NOBODY}/migrations/1",
        "/servers/web",
        "/servers/web/migrations",
        "/servers/%00",
        "/servers/%ED%A0%80/migrations/1",
        f"/servers/{SERVER}/migrations/2",
        f"/servers/{SERVER}/migrations/-1",
        f"/servers/{SERVER}/migrations/1.0",
        f"/servers/{SERVER}/migrations/%D9%A1",
        f"/servers/{SERVER}/migrations/{2**31}",
        f"/servers/{SERVER}/migrations/{2**64}",
        f"/servers/{SERVER}/migrations/{'9' * 3000}",
        f"/servers/{SERVER}/migrations/{NOBODY}",
        f"/servers/{SERVER}/migrations/%F0%9F%A6%9C",
    ],
)
def test_unknown_address_is_404(client: testing.TestClient, fill: Fill, path: str) -> None:
    fill()
    answer = client.simulate_get(path)
    depth = path.strip("/").count("/")
    if not path.startswith("/servers/"):
        code = ErrorCode.NO_SUCH_ADDRESS
    elif depth < 3:
        code = ErrorCode.SERVER_NOT_FOUND
    else:
        code = ErrorCode.MIGRATION_NOT_FOUND
    assert set(error_of(answer, code)) == {"request_id", "code", "status", "title", "detail"}
    assert len(answer.text) < 500


def test_another_servers_migration_is_not_there(client: testing.TestClient, fill: Fill) -> None:
    fill()
    (other,) = fill(server_uuid=NOBODY)
    assert client.simulate_get(f"/servers/{SERVER}/migrations/{other}").status_code == 404


def test_a_body_is_refused(client: testing.TestClient) -> None:
    for more in ({"body": "{}"}, {"headers": {"Transfer-Encoding": "chunked"}}):
        answer = client.simulate_get("/migrations", **more)
        error = error_of(answer, ErrorCode.UNEXPECTED_BODY)
        assert (error["status"], error["detail"]) == (400, "A GET request must not have a body.")


def test_length_of_an_address_is_limited(client: testing.TestClient) -> None:
    answer = client.simulate_get("/migrations?host=" + "h" * app.MAX_URL_CHARACTERS)
    assert "4096" in error_of(answer, ErrorCode.URI_TOO_LONG)["detail"]


@pytest.mark.parametrize(
    "away", ["sqlite:///{}/no-tables.sqlite", "mysql+pymysql://migprog:secret@127.0.0.1:1/migprog"]
)
def test_without_a_database(tmp_path: object, away: str) -> None:
    conf = configuration(away.format(tmp_path))
    client = client_of(app.create(conf, objects.connect(conf)))
    for path in ("/healthcheck", "/migrations", f"/servers/{SERVER}"):
        answer = client.simulate_get(path)
        error_of(answer, ErrorCode.DATABASE_UNAVAILABLE)
        assert int(answer.headers["retry-after"]) > 0
        for secret in ("secret", "sqlite", "Traceback", "pymysql", "127.0.0.1"):
            assert secret not in answer.text
    assert client.simulate_get("/").status_code == 200


def test_unexpected_exception_is_500(
    store: objects.Store,
    connection: str,
    fill: Fill,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill()
    with store.engine.begin() as sql:
        sql.exec_driver_sql("UPDATE migrations SET created_at = 'unheard of'")
    answer = client_of(app.create(configuration(connection), store)).simulate_get("/migrations")
    error_of(answer, ErrorCode.INTERNAL_ERROR)
    assert "unheard" not in answer.text
    assert "unheard of" in caplog.text


def test_out_of_service_by_file(store: objects.Store, connection: str, tmp_path: object) -> None:
    conf = configuration(connection)
    app.create(conf, store)  # registers oslo.middleware's options
    conf.set_override("backends", ["disable_by_file"], "healthcheck")
    from oslo_middleware.healthcheck import opts

    conf.register_opts(opts.DISABLE_BY_FILE_OPTS, "healthcheck")
    conf.set_override("disable_by_file_path", str(tmp_path), "healthcheck")
    answer = client_of(app.create(conf, store)).simulate_get("/healthcheck")
    error = error_of(answer, ErrorCode.OUT_OF_SERVICE)
    assert error["detail"] == "Out of service: DISABLED BY FILE"


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GARBAGE\r\n\r\n", ErrorCode.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2**17 + b"\r\n\r\n", ErrorCode.HEADERS_TOO_LARGE),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", ErrorCode.BODY_TOO_LARGE),
        (
            b"POST /migrations HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            ErrorCode.NOT_IMPLEMENTED,
        ),
    ],
)
def test_invalid_http_is_answered_in_the_same_form(request_bytes: bytes, code: ErrorCode) -> None:
    def unreached(environ: object, start_response: object) -> list[bytes]:
        raise AssertionError("the application was asked")

    server = Server(unreached, "127.0.0.1", 0, 1, "[test] listen", refuse=app.refuse)
    server.start()
    try:
        with socket.create_connection((server.host, server.port), timeout=10) as connection:
            connection.sendall(request_bytes)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            (error,) = json.loads(answer.read())["errors"]
            assert (answer.status, error["status"]) == (code.status, code.status)
            assert error["code"] == code
            assert error["request_id"] == answer.headers["X-OpenStack-Request-Id"]
    finally:
        server.stop()


def test_invalid_http_is_answered_in_novas_form_below_v21() -> None:
    status, headers, body = app.refuse("/v2.1/servers", 413)
    assert status.startswith("413 ")
    assert json.loads(body)["overLimit"]["code"] == 413
    assert "X-Compute-Request-Id" in dict(headers)

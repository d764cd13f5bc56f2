# SPDX-License-Identifier: Apache-2.0
"""A forecast that a server is measured for: followed until it is there, with a server of ours."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from migprog.cli import columns, forecast
from migprog.cli.client import Later
from migprog.cli.errors import ApiRefused, ClientError
from migprog.tests.unit.cli.test_client import client_of

SERVER = "00000000-0000-0000-0000-000000000001"
FORECAST = {
    "converges": "yes",
    "message": "converges",
    "measurement": {"measured_at": "2026-09-01T12:00:00Z"},
    "transfer_rate": {"migrations": 3, "source": "pair"},
    "failure": None,
}


def quiet(_given: object) -> None:
    pass


@contextlib.contextmanager
def measuring(waits: int, status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """The address of an API that measures for so many requests, and what it was asked."""
    asked: list[Any] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(("POST", self.path, body))
            self._answer(202, b"")

        def do_GET(self) -> None:
            asked.append(("GET", self.path))
            if len(asked) <= waits:
                self._answer(202, b"")
            elif status == 200:
                self._answer(200, json.dumps({"forecast": FORECAST}).encode())
            else:
                self._answer(status, b'{"errors": [{"detail": "a migration began"}]}')

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "7")
            if self.command == "POST":
                self.send_header("Location", f"http://elsewhere/prefix{self.path}?dest_compute=b")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_given: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_forecast_is_followed_at_the_pace_that_the_api_asks_for() -> None:
    slept: list[float] = []
    said: list[str] = []
    with measuring(waits=3) as (url, asked):
        found = forecast.ask(
            client_of(url), SERVER, {"measure": True}, said.append, 60.0, slept.append
        )
    assert found == FORECAST
    assert [each.partition(":")[0] for each in said] == [f"server {SERVER} is being measured"]
    path = f"/servers/{SERVER}/forecast"
    assert asked == [("POST", path, {"measure": True}), *[("GET", f"{path}?dest_compute=b")] * 3]
    assert slept == [7.0] * 3


def test_forecast_that_does_not_come_in_time_is_an_error() -> None:
    now = iter(range(0, 1000, 20))
    with (
        measuring(waits=100) as (url, _),
        pytest.raises(ClientError, match="has not been measured within 60 s"),
    ):
        forecast.ask(client_of(url), SERVER, {}, quiet, 60.0, quiet, lambda: float(next(now)))


def test_measurement_that_failed_is_an_error() -> None:
    with measuring(1, 409) as (url, _), pytest.raises(ApiRefused, match="a migration began"):
        forecast.ask(client_of(url), SERVER, {}, quiet, 60.0, quiet)


class Refuses:
    """An API that refuses a forecast."""

    def __init__(self, code: str | None) -> None:
        self._code = code

    def forecast(self, _server: str, _asked: Any) -> Any:
        raise ApiRefused("refused (HTTP 404)", 404, self._code)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("migration-progress.server-not-found", ": use --host HOST, with --measure"),
        ("migration-progress.not-measured", ": use --measure, which "),
        ("migration-progress.measuring-disabled", None),
        (None, None),
    ],
)
def test_refusal_names_the_option_that_helps_and_nothing_is_measured(
    code: str | None, remedy: str | None
) -> None:
    said: list[str] = []
    api: Any = Refuses(code)
    with pytest.raises(ApiRefused, match=r"^refused \(HTTP 404\)") as caught:
        forecast.ask(api, SERVER, {"measure": True}, said.append, 60.0)
    rest = str(caught.value).removeprefix("refused (HTTP 404)")
    assert rest.startswith(remedy) if remedy else rest == ""
    assert (caught.value.status, caught.value.code, said) == (404, code, [])


def test_later_answer_of_another_api_is_asked_for_soon() -> None:
    with measuring(waits=9) as (url, _):
        later = client_of(url).forecast(SERVER, {})
    assert later == Later(f"/servers/{SERVER}/forecast?dest_compute=b", 7.0)


def test_people_are_shown_what_matters_and_the_rest_on_request() -> None:
    shown = forecast.shown(FORECAST, is_long=False)
    assert shown == {
        "converges": "yes",
        "message": "converges",
        "measured_at": "2026-09-01T12:00:00Z",
        "learned_from": "3 migrations (pair)",
    }
    assert forecast.shown(FORECAST, is_long=True).keys() - shown.keys() == {
        "measurement",
        "transfer_rate",
    }
    failed = FORECAST | {"failure": {"message": "the server migrates"}}
    assert forecast.shown(failed, is_long=False)["not_measured_since"] == "the server migrates"


def test_each_entry_of_a_document_has_a_line() -> None:
    window = {"seconds": 1.0, "dirty_bytes_per_second": 3145728.0}
    measurement = {"memory_bytes": 2**30, "disk_bytes": None, "windows": [window, window]}
    names, cells = columns.fields(
        forecast.shown(
            FORECAST | {"measurement": measurement | {"measured_at": "2026-09-01T12:00:00Z"}},
            is_long=True,
        )
    )
    cell = cells[names.index("measurement")]
    assert cell.human_readable().splitlines() == [
        "memory_bytes=1.0G",
        "disk_bytes=",
        *["windows: seconds=1.0, dirty_bytes_per_second=3145728.0"] * 2,
        "measured_at=2026-09-01T12:00:00Z",
    ]
    assert cell.machine_readable()["windows"] == [window, window]

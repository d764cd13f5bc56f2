# SPDX-License-Identifier: Apache-2.0
"""The native API, asked through a keystoneauth adapter.

Requests name the newest microversion that both sides know; what was read before is asked for with
its ``ETag``. No call takes longer than its deadline, and no answer is larger than 64 MiB.
"""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib import parse

from keystoneauth1 import adapter, exceptions
from requests import Response
from requests import exceptions as requests_exceptions

from migprog.cli import text
from migprog.cli.errors import ApiRefused, ApiUnavailable, NotFound
from migprog.cli.record import Record
from migprog.cli.server_clock import ServerClock
from migprog.deadline import DeadlineRunner

SERVICE_TYPE = "migration-progress"
MICROVERSION_HEADER = "OpenStack-API-Version"
# The first one, and the newest that this client knows.
OLDEST, NEWEST = (1, 0), (1, 2)
ADVICE_SINCE = (1, 2)
DEADLINE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_MAX_ANSWER_BYTES = 64 * 2**20
_CHUNK_BYTES = 256 * 1024
# Pages of a list, of 1,000 migrations each by default.
MAX_PAGES = 10
_MAX_REMEMBERED = 2 * MAX_PAGES
_MAX_CALLS = 4
_MICROVERSION = re.compile(r"1\.(0|[1-9][0-9]{0,8})")

Query = Mapping[str, Any]


def parse_microversion(given: str) -> tuple[int, int] | None:
    """Return a microversion that was asked for, such as ``1.1``; None for ``1``: the newest that
    both sides know. Raises :class:`ValueError`."""
    if given == "1":
        return None
    match = _MICROVERSION.fullmatch(given)
    if match is None:
        raise ValueError(f"{given!r} must be 1, or a microversion such as 1.0")
    return (1, int(match[1]))


@dataclass(frozen=True, slots=True)
class Page:
    """Migrations, and whether there are more than were read."""

    records: tuple[Record, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class _Remembered:
    tag: str
    document: dict[str, Any]


class Client:
    """The API at one endpoint. For one thread at a time.

    ``microversion``: the only one to speak; None: the newest that both sides know.

    Its methods raise :class:`ApiUnavailable` and :class:`ApiRefused`.
    """

    def __init__(
        self,
        api: adapter.Adapter,
        microversion: tuple[int, int] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._api = api
        self._is_fixed = microversion is not None
        self.microversion = microversion or NEWEST
        self._deadline_seconds = deadline_seconds
        self._calls = DeadlineRunner(_MAX_CALLS, "the API")
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._clock = ServerClock()

    def now(self) -> float:
        """Return the API's time, in seconds since the epoch."""
        ahead = self._clock.ahead_seconds(time.time() - time.monotonic())
        return time.monotonic() + ahead

    def migrations(self, query: Query, max_pages: int = 1) -> Page:
        """Return migrations as the API orders them, at most so many pages of them."""
        path = "/migrations?" + parse.urlencode(query)
        records: list[Record] = []
        for _ in range(max_pages):
            document = self._get(path, "migrations")
            records += document["migrations"]
            links = document.get("migrations_links")
            if not links:
                return Page(tuple(records))
            # The rest of the address is the API's own, which may be another by way of a proxy.
            path = "/migrations?" + parse.urlsplit(links[0]["href"]).query
        return Page(tuple(records), truncated=True)

    def in_progress(self, query: Query) -> Page:
        """Return the migrations in progress that ``query`` selects, at most ten pages."""
        return self.migrations({"in_progress": "true", **query}, MAX_PAGES)

    def migration(self, server_uuid: str, id_or_uuid: str) -> Record:
        """Return one migration."""
        path = f"/servers/{_quoted(server_uuid)}/migrations/{_quoted(id_or_uuid)}"
        found: Record = self._get(path, "migration")["migration"]
        return found

    def newest(self, server_uuid: str) -> Record | None:
        """Return a server's newest migration; None if none is known."""
        try:
            path = f"/servers/{_quoted(server_uuid)}/migrations?limit=1"
            document = self._get(path, "migrations")
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise
        return next(iter(document["migrations"]), None)

    def history(self, server_uuid: str, id_or_uuid: str) -> list[dict[str, Any]]:
        """Return the points of a migration, the oldest first."""
        path = f"/servers/{_quoted(server_uuid)}/migrations/{_quoted(id_or_uuid)}/history"
        points: list[dict[str, Any]] = self._get(path, "history")["history"]
        return points

    def drain(self, host: str) -> dict[str, Any]:
        """Return what has yet to leave a host. Raises :class:`NotFound` if no agent of it is
        known."""
        try:
            path = f"/hosts/{_quoted(host)}/drain"
            found: dict[str, Any] = self._get(path, "drain")["drain"]
        except ApiRefused as error:
            if error.status == 404:
                raise NotFound(str(error)) from error
            raise
        return found

    def _get(self, path: str, key: str) -> dict[str, Any]:
        """Return the document at a path, which has ``key``; the same object as last time while
        nothing has changed."""
        remembered = self._remembered.get(path)
        answer, body = self._ask(path, remembered)
        if answer.status_code == 406 and not self._is_fixed and self._step_down(body):
            remembered = None
            answer, body = self._ask(path, None)
        if answer.status_code == 304 and remembered is not None:
            self._remembered.move_to_end(path)
            return remembered.document
        if answer.status_code != 200:
            raise _error(answer, body)
        try:
            document = json.loads(body)
        except ValueError:
            raise ApiUnavailable(f"the answer to GET {path} is not JSON") from None
        if not isinstance(document, dict) or key not in document:
            raise ApiUnavailable(f"the answer to GET {path} is not the API's: it has no {key!r}")
        self._remember(path, answer.headers.get("ETag"), document)
        return document

    def _remember(self, path: str, tag: str | None, document: dict[str, Any]) -> None:
        if tag is not None:
            self._remembered[path] = _Remembered(tag, document)
            self._remembered.move_to_end(path)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def _ask(self, path: str, remembered: _Remembered | None) -> tuple[Response, bytes]:
        major, minor = self.microversion
        headers = {
            "Accept": "application/json",
            MICROVERSION_HEADER: f"{SERVICE_TYPE} {major}.{minor}",
        }
        if remembered is not None:
            headers["If-None-Match"] = remembered.tag
        sent = time.monotonic()
        try:
            answer, body = self._calls.run(
                lambda: self._read(path, headers), self._deadline_seconds
            )
        except (
            exceptions.ConnectionError,
            exceptions.ConnectTimeout,
            exceptions.RetriableConnectionFailure,
            requests_exceptions.RequestException,
            TimeoutError,
            OSError,
        ) as error:
            raise ApiUnavailable(text.printable(error)) from error
        except exceptions.ClientException as error:
            # Keystone refuses the user, or its catalog has no such service.
            status = getattr(error, "http_status", 0) or 0
            if status >= 500 or status == 429:
                raise ApiUnavailable(text.printable(error)) from error
            raise ApiRefused(text.printable(error), status) from error
        self._clock.learn(answer.headers.get("Date"), sent, time.monotonic())
        return answer, body

    def _read(self, path: str, headers: Mapping[str, str]) -> tuple[Response, bytes]:
        answer = self._api.get(
            path,
            headers=dict(headers),
            raise_exc=False,
            stream=True,
            timeout=(_CONNECT_SECONDS, self._deadline_seconds),
        )
        with answer:
            body = bytearray()
            for chunk in answer.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise OSError(f"the answer to GET {path} is larger than 64 MiB")
        return answer, bytes(body)

    def _step_down(self, body: bytes) -> bool:
        """Speak the API's newest microversion, which is older than ours; False if it names none."""
        newest = (_first_error(body) or {}).get("max_version", "")
        match = _MICROVERSION.fullmatch(newest)
        if match is None or (1, int(match[1])) >= self.microversion:
            return False
        self.microversion = (1, int(match[1]))
        self._remembered.clear()
        return True


def _quoted(part: str) -> str:
    return parse.quote(part, safe="")


def _first_error(body: bytes) -> dict[str, Any] | None:
    """Return the first error of an answer in the form of OpenStack's API guideline, if it is."""
    try:
        errors = json.loads(body)["errors"]
        return errors[0] if isinstance(errors[0], dict) else None
    except (ValueError, LookupError, TypeError):
        return None


def _error(answer: Response, body: bytes) -> ApiRefused | ApiUnavailable:
    status = answer.status_code
    error = _first_error(body)
    if error is None:
        message = f"HTTP {status} {text.printable(answer.reason or '')}".rstrip()
        code = None
    else:
        code = error.get("code")
        message = f"{text.printable(error.get('detail') or error.get('title'))} (HTTP {status})"
        if error.get("request_id"):
            message += f" (Request-ID: {text.printable(error['request_id'])})"
    if status >= 500 or status in (408, 429):
        return ApiUnavailable(message)
    return ApiRefused(message, status, code)

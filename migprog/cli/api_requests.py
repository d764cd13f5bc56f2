# SPDX-License-Identifier: Apache-2.0
"""How the native API is asked, through a keystoneauth adapter.

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

from keystoneauth1 import adapter, exceptions
from requests import Response
from requests import exceptions as requests_exceptions

from migprog import SERVICE_TYPE
from migprog.cli import document_check, request_failure, text
from migprog.cli.errors import ApiRefused, ApiUnavailable, ClientError
from migprog.cli.server_clock import ServerClock
from migprog.deadline import DeadlineRunner

MICROVERSION_HEADER = "OpenStack-API-Version"
# The newest that this client knows.
NEWEST = (1, 7)
DEADLINE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_MAX_ANSWER_BYTES = 64 * 2**20
_CHUNK_BYTES = 256 * 1024
# Documents: the pages of two lists.
_MAX_REMEMBERED = 20
_MAX_CALLS = 4
_MICROVERSION = re.compile(r"1\.(0|[1-9][0-9]{0,8})")


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
class _Remembered:
    tag: str
    document: dict[str, Any]


class ApiRequests:
    """The API at one endpoint. For one thread at a time.

    ``microversion``: the only one to speak; None: the newest that both sides know.
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

    def check_microversion(self, needed: tuple[int, int], what: str) -> None:
        """Raise :class:`ClientError` if the API shows no such thing in the microversion spoken."""
        if self.microversion < needed:
            major, minor = self.microversion
            raise ClientError(
                f"the API shows no {what} in microversion {major}.{minor}; it needs "
                f"{needed[0]}.{needed[1]}"
            )

    def _get(self, path: str, key: str) -> dict[str, Any]:
        """Return the document at a path, which has ``key``; the same object as last time while
        nothing has changed."""
        answer, body = self._ask(path, remembered=self._remembered.get(path))
        if answer.status_code == 304 and path in self._remembered:
            self._remembered.move_to_end(path)
            return self._remembered[path].document
        document = self._read_document(path, key, answer, body)
        self._remember(path, answer.headers.get("ETag"), document)
        return document

    def _remember(self, path: str, tag: str | None, document: dict[str, Any]) -> None:
        if tag is not None:
            self._remembered[path] = _Remembered(tag, document)
            self._remembered.move_to_end(path)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def _ask(
        self, path: str, asked: bytes | None = None, remembered: _Remembered | None = None
    ) -> tuple[Response, bytes]:
        """Return the answer to GET; or to POST, if there is something ``asked``: in an older
        microversion, if the API needs that."""
        answer, body = self._ask_once(path, asked, remembered)
        if answer.status_code == 406 and not self._is_fixed and self._step_down(body):
            return self._ask_once(path, asked, None)
        return answer, body

    @staticmethod
    def _read_document(path: str, key: str, answer: Response, body: bytes) -> dict[str, Any]:
        """Return the document of an answer, which has ``key``."""
        if answer.status_code != 200:
            raise _error(answer, body)
        return _document(path, body, key)

    def _ask_once(
        self, path: str, asked: bytes | None, remembered: _Remembered | None
    ) -> tuple[Response, bytes]:
        major, minor = self.microversion
        headers = {
            "Accept": "application/json",
            MICROVERSION_HEADER: f"{SERVICE_TYPE} {major}.{minor}",
        }
        if remembered is not None:
            headers["If-None-Match"] = remembered.tag
        if asked is not None:
            headers["Content-Type"] = "application/json"
        sent = time.monotonic()
        try:
            answer, body = self._calls.run(
                lambda: self._read(path, headers, asked), self._deadline_seconds
            )
        except (
            exceptions.ConnectionError,
            exceptions.ConnectTimeout,
            exceptions.RetriableConnectionFailure,
            requests_exceptions.RequestException,
            TimeoutError,
            OSError,
        ) as error:
            raise ApiUnavailable(request_failure.reason(error)) from error
        except exceptions.ClientException as error:
            # Keystone refuses the user, or its catalog has no such service.
            status = getattr(error, "http_status", 0) or 0
            if status >= 500 or status == 429:
                raise ApiUnavailable(request_failure.reason(error)) from error
            raise ApiRefused(request_failure.reason(error), status) from error
        self._clock.learn(answer.headers.get("Date"), sent, time.monotonic())
        return answer, body

    def _read(
        self, path: str, headers: Mapping[str, str], asked: bytes | None
    ) -> tuple[Response, bytes]:
        answer = self._api.request(
            path,
            "GET" if asked is None else "POST",
            data=asked,
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
                    raise OSError(f"the answer to {path} is larger than 64 MiB")
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


def _document(path: str, body: bytes, key: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiUnavailable(f"the answer to {path} is not JSON") from None
    if not isinstance(document, dict) or key not in document:
        raise ApiUnavailable(f"the answer to {path} is not the API's: it has no {key!r}")
    try:
        document_check.check(document, key)
    except document_check.NotAsDocumented as error:
        message = f"the answer to {path} is not the API's: {error}"
        raise ApiUnavailable(text.printable(message)) from None
    return document


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
        said = f"HTTP {status} {answer.reason or ''}".rstrip()
        message = text.printable(f"{answer.url} answers {said}, and not as migprog's API does")
        code = None
    else:
        code = error.get("code")
        message = f"{text.printable(error.get('detail') or error.get('title'))} (HTTP {status})"
        if error.get("request_id"):
            message += f" (Request-ID: {text.printable(error['request_id'])})"
    if status >= 500 or status in (408, 429):
        return ApiUnavailable(message, code)
    return ApiRefused(message, status, code)

# SPDX-License-Identifier: Apache-2.0
"""``POST /ui/login``: passes a password that was typed into the page on to Keystone, for a token.

Off by default. Neither the password nor the token is stored or logged. Attempts are limited, in
number and in time, so that the API is no means to try passwords faster than Keystone itself would
let one.
"""

import collections
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import requests
import webob
from keystoneauth1 import exceptions
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import generic
from oslo_config import cfg

from migprog import exception, http_calls, outages
from migprog.api import errors
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import Failure

LOG = logging.getLogger(__name__)

_GROUP = "keystone_authtoken"
_MAX_BODY_BYTES = 16 * 1024
_MAX_CHARACTERS = {"password": 4096}
_MAX_NAME_CHARACTERS = 255
_NEEDED = ("user", "user_domain", "password")
_OPTIONAL = ("project", "project_domain")
# At a time; each occupies a thread.
_MOST_AT_ONCE = 2
# Attempts within a minute: of one address, and of all.
MOST_OF_ADDRESS, MOST_OF_ALL = 10, 60
_WINDOW_SECONDS = 60.0


class Attempts:
    """Counts attempts within a minute. ``clock`` returns seconds. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._made: collections.deque[tuple[float, str]] = collections.deque()

    def take(self, address: str) -> bool:
        """Count an attempt from an address; return whether it is permitted."""
        with self._lock:
            now = self._clock()
            while self._made and self._made[0][0] <= now - _WINDOW_SECONDS:
                self._made.popleft()
            of_address = sum(each == address for _at, each in self._made)
            if len(self._made) >= MOST_OF_ALL or of_address >= MOST_OF_ADDRESS:
                return False
            self._made.append((now, address))
            return True


# Returns a token and its end; raises keystoneauth1's and requests' exceptions.
Ask = Callable[[Mapping[str, str]], tuple[str, str]]


class Login:
    """The WSGI application. ``ask`` asks Keystone, within a deadline."""

    def __init__(self, ask: Ask, attempts: Attempts | None = None) -> None:
        self._ask = ask
        self._attempts = attempts or Attempts()
        self._keystone = outages.party(
            LOG, "Keystone", "users cannot sign in with a password", outages.CHECK_KEYSTONE
        )

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = webob.Request(environ)
        found = self._answer(request)
        if isinstance(found, Failure):
            answer = errors.respond(found, environ)
            if found.code is ErrorCode.TOO_MANY_LOGINS:
                answer.retry_after = int(_WINDOW_SECONDS)
        else:
            answer = webob.Response(json=found)
        answer.cache_control = "no-store"
        return answer(environ, start_response)

    def _answer(self, request: webob.Request) -> dict[str, str] | Failure:
        failure = _refusal(request)
        if failure is not None:
            return failure
        given = _read(request)
        if isinstance(given, Failure):
            return given
        if not self._attempts.take(request.remote_addr or ""):
            return Failure.of(ErrorCode.TOO_MANY_LOGINS)
        try:
            token, expires_at = self._ask(given)
        except exceptions.HttpError as error:
            # Whatever Keystone says of a user or project is the same to who must not know.
            if 400 <= error.http_status < 500:
                self._keystone.worked()
                return Failure.of(ErrorCode.LOGIN_REFUSED)
            return self._failed(error)
        except (exceptions.ClientException, requests.RequestException, TimeoutError) as error:
            return self._failed(error)
        self._keystone.worked()
        return {"token": token, "expires_at": expires_at}

    def _failed(self, error: Exception) -> Failure:
        self._keystone.failed(str(error)[:300])
        return Failure.of(
            ErrorCode.KEYSTONE_UNAVAILABLE, "Keystone does not answer; try again later."
        )


def _refusal(request: webob.Request) -> Failure | None:
    if request.method != "POST":
        return Failure.of(ErrorCode.METHOD_NOT_ALLOWED)
    # No browser sends this type to another origin without asking first.
    if request.content_type != "application/json":
        return Failure.of(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return Failure.of(ErrorCode.POLICY_DENIED, "The page of another site cannot sign in.")
    return None


def _read(request: webob.Request) -> dict[str, str] | Failure:
    """Return the texts of a request's body."""
    length = request.content_length
    if length is None:
        return Failure.of(ErrorCode.LENGTH_REQUIRED)
    if length > _MAX_BODY_BYTES:
        return Failure.of(ErrorCode.BODY_TOO_LARGE)
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError):
        return _invalid("must be JSON")
    if not isinstance(given, dict) or not set(_NEEDED) <= set(given) <= {*_NEEDED, *_OPTIONAL}:
        return _invalid(f"must have {', '.join(_NEEDED)}; may have {', '.join(_OPTIONAL)}")
    for name, value in given.items():
        most = _MAX_CHARACTERS.get(name, _MAX_NAME_CHARACTERS)
        if not isinstance(value, str) or len(value) > most:
            return _invalid(f"{name} must be a text of at most {most} characters")
    return given


def _invalid(rule: str) -> Failure:
    return Failure.of(ErrorCode.INVALID_BODY, f"The body {rule}.", rule=rule)


def by_keystone(conf: cfg.ConfigOpts, deadline_seconds: float) -> Ask:
    """Return what asks the Keystone of ``[keystone_authtoken]``.

    Raises :class:`exception.ConfigError` if its address is not configured.
    """
    group = conf[_GROUP]
    section = conf[group.auth_section] if group.auth_section else group
    url = section.get("auth_url", None)
    if not url:
        raise exception.ConfigError(
            "[api] ui_password_login: is true, and [keystone_authtoken] has no auth_url"
        )
    calls = http_calls.Calls("Keystone", deadline_seconds, _MOST_AT_ONCE)
    verify = False if group.insecure else (group.cafile or True)
    cert = (group.certfile, group.keyfile) if group.certfile and group.keyfile else None

    def ask(given: Mapping[str, str]) -> tuple[str, str]:
        project = given.get("project")
        scope = (
            {"project_name": project, "project_domain_name": given.get("project_domain")}
            if project
            else {"system_scope": "all"}
        )
        login = generic.Password(
            auth_url=url,
            username=given["user"],
            user_domain_name=given["user_domain"],
            password=given["password"],
            **scope,
        )

        def call() -> tuple[str, str]:
            with requests.Session() as mounted:
                session = keystone_session.Session(
                    session=http_calls.mount(mounted), verify=verify, cert=cert
                )
                access: Any = login.get_access(session)
            return access.auth_token, access.expires.isoformat()

        return calls.run(call)

    return ask

# SPDX-License-Identifier: Apache-2.0
"""Without tokens, answer only clients on this machine, and no foreign page in its browsers.

A browser on this machine is a loopback client for any page that it has loaded. So the ``Host`` of a
request must be a name of this machine: a page whose own name resolves to the loopback address (DNS
rebinding) sends its own name. And its ``Origin`` must be this API: other pages could send requests,
though not read the answers.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib import parse

from migprog.api import errors
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import Failure
from migprog.api.resource import Application
from migprog.conf.api import is_loopback

_FORWARDED_FOR = re.compile(r'\bfor="?\[?([^\s",;\]]*)', re.IGNORECASE)
# Headers in which proxies name the client, besides Forwarded.
_CLIENTS = (
    *("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_CLIENT_IP"),
    *("HTTP_X_CLUSTER_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP"),
)
_NAME = "localhost"
# Sec-Fetch-Site of requests by the user, or by a page of this API.
_OWN_SITES = ("same-origin", "none")


class LoopbackOnly:
    """WSGI middleware that answers only clients on this machine.

    It runs before anything that rewrites the client's address, since the real one counts.
    ``names``: of this machine, besides ``localhost`` and loopback addresses. ``origins``: of pages
    that may send requests, besides this API's own.
    """

    def __init__(
        self, app: Application, names: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        self._app = app
        self._names = {name.lower() for name in names}
        self._origins = frozenset(origins)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        rule = self._broken_rule(environ)
        if rule is None:
            return self._app(environ, start_response)
        failure = Failure.of(ErrorCode.LOCAL_ONLY, f"[api] auth_strategy is noauth: {rule}.")
        return errors.respond(failure, environ)(environ, start_response)

    def _broken_rule(self, environ: Mapping[str, Any]) -> str | None:
        if not is_local(environ):
            return "requests are accepted from this machine's loopback address only"
        if not names_this_machine(environ.get("HTTP_HOST"), self._names):
            return "Host must be localhost, a loopback address or the host of [api] bind_host"
        if not self._is_own_page(environ):
            return "Origin must be this API itself or one of [cors] allowed_origin"
        return None

    def _is_own_page(self, environ: Mapping[str, Any]) -> bool:
        """Return whether no browser sent the request, or one for an allowed page."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None:
            own = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST')}"
            return origin == own or origin in self._origins
        # Browsers send no Origin for links and the like, which read and change nothing.
        site = environ.get("HTTP_SEC_FETCH_SITE")
        return site is None or site in _OWN_SITES or environ["REQUEST_METHOD"] in ("GET", "HEAD")


def is_local(environ: Mapping[str, Any]) -> bool:
    """Return whether the client, and the client that it forwards for, are on this machine.

    Refused as well: a server on a socket file, which has no client address, and a proxy that names
    only itself (``Via``, ``X-Forwarded-Server``) or the host that it was asked for.
    """
    if environ.get("HTTP_VIA") or environ.get("HTTP_X_FORWARDED_SERVER"):
        return False
    named = environ.get("HTTP_X_FORWARDED_HOST")
    if named and not all(names_this_machine(name.strip()) for name in named.split(",")):
        return False
    origins = [environ.get("REMOTE_ADDR") or ""]
    for header in _CLIENTS:
        if forwarded := environ.get(header):
            origins += forwarded.split(",")
    origins += _FORWARDED_FOR.findall(environ.get("HTTP_FORWARDED", ""))
    return all(is_loopback(origin.strip()) for origin in origins)


def names_this_machine(host: str | None, names: Collection[str] = ()) -> bool:
    """Return whether a ``Host`` header, which every browser sends, names this machine."""
    if host is None:
        return True
    try:
        parts = parse.urlsplit(f"//{host}")
        name = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.netloc != host or "@" in host:
        return False
    return name == _NAME or name in names or is_loopback(name)

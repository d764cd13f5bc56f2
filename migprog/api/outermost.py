# SPDX-License-Identifier: Apache-2.0
"""The outermost WSGI middleware: what every answer has, and the form of errors.

Plain WSGI: an answer that is no error passes as it is, with some headers more. oslo.middleware's
classes, which take an answer apart and put it together again, see only requests that they change.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import webob
from oslo_config import cfg
from oslo_context import context
from oslo_middleware import http_proxy_to_wsgi, request_id, sizelimit

from migprog.api.resource import Application

LOG = logging.getLogger(__name__)

Headers: TypeAlias = list[tuple[str, str]]

# Texts that tenants chose must not be interpreted as HTML.
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_REQUEST_ID = request_id.HTTP_RESP_HEADER_REQUEST_ID
_ASKED_ID = "HTTP_" + request_id.INBOUND_HEADER.upper().replace("-", "_")
_BY_PROXIES = (
    "HTTP_FORWARDED",
    *(f"HTTP_X_FORWARDED_{what}" for what in ("PROTO", "HOST", "FOR", "PREFIX")),
)


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """What all answers at a path have in common, whichever component made them.

    ``shape`` gives an error its form. ``headers`` returns those of every answer to a request, by
    its WSGI environment.
    """

    shape: Callable[[webob.Request, webob.Response], None]
    headers: Callable[[Mapping[str, Any]], Headers]

    def finish(self, request: webob.Request, response: webob.Response) -> None:
        """Add to an error what it lacks."""
        self.shape(request, response)
        for name, value in self.headers(request.environ):
            response.headers[name] = value


class Outermost:
    """Gives errors of other middleware the form of the path's API, and no traceback; adds what
    every answer has. ``form_of`` returns the form of answers at a path."""

    def __init__(self, app: Application, form_of: Callable[[str], AnswerForm]) -> None:
        self._app = app
        self._form_of = form_of

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO") or "/"
        form = self._form_of(path)
        started: list[tuple[str, Headers]] = []

        def start(status: str, headers: Headers, _exc_info: Any = None) -> None:
            started.append((status, headers))

        try:
            body = self._app(environ, start)
            status, headers = started[-1]
        except Exception:
            LOG.exception(
                "unexpected error in %s %s, answered 500; report this traceback as a bug",
                environ["REQUEST_METHOD"],
                path,
            )
            response = webob.Response(status=500)
        else:
            if status < "400":
                start_response(status, _with(headers, [*form.headers(environ), _NO_SNIFFING]))
                return body
            response = webob.Response(status=status, headerlist=list(headers), app_iter=body)
        form.finish(webob.Request(environ), response)
        response.headers[_NO_SNIFFING[0]] = _NO_SNIFFING[1]
        answer: Iterable[bytes] = response(environ, start_response)
        return answer


def _with(headers: Headers, more: Headers) -> Headers:
    """Return headers with ``more``, which replace those of the same names."""
    names = {name.lower() for name, _ in more}
    return [*(each for each in headers if each[0].lower() not in names), *more]


def with_request_id(app: Application) -> Application:
    """Return ``app`` with an id for each request, in its environment and in its answer, as
    oslo.middleware's RequestId gives it."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked = environ.get(_ASKED_ID)
        if asked and re.match(request_id.ID_FORMAT, asked):
            environ[request_id.GLOBAL_REQ_ID] = asked
        ours = environ[request_id.ENV_REQUEST_ID] = context.generate_request_id()

        def start(status: str, headers: Headers, *more: Any) -> Any:
            return start_response(status, _with(headers, [(_REQUEST_ID, ours)]), *more)

        return app(environ, start)

    return answer


def behind_proxies(app: Application, conf: cfg.ConfigOpts) -> Application:
    """Return ``app`` with oslo.middleware's HTTPProxyToWSGI for what proxies say."""
    rewritten = http_proxy_to_wsgi.HTTPProxyToWSGI(app, conf)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_named = any(header in environ for header in _BY_PROXIES)
        return (rewritten if is_named else app)(environ, start_response)

    return choose


def limited(app: Application, conf: cfg.ConfigOpts) -> Application:
    """Return ``app`` with oslo.middleware's RequestBodySizeLimiter for all requests that may have
    a body."""
    measured = sizelimit.RequestBodySizeLimiter(app, conf)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        has_none = (
            environ["REQUEST_METHOD"] in ("GET", "HEAD")
            and environ.get("CONTENT_LENGTH", "") in ("", "0")
            and "HTTP_TRANSFER_ENCODING" not in environ
        )
        return (app if has_none else measured)(environ, start_response)

    return choose


def early_answer(
    form_of: Callable[[str], AnswerForm], path: str | None, status: int
) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status line, headers and body of the answer to a request that is not valid HTTP and
    reaches no application."""
    environ = {
        request_id.ENV_REQUEST_ID: context.generate_request_id(),
        "PATH_INFO": path or "/",
    }
    response = webob.Response(status=status)
    form_of(path or "/").finish(webob.Request(environ), response)
    response.headers[_REQUEST_ID] = environ[request_id.ENV_REQUEST_ID]
    return response.status, response.headerlist, response.body

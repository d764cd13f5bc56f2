# SPDX-License-Identifier: Apache-2.0
"""Errors as our face shows them: always JSON, ``{"error": {"code", "title", "message"}}``.

``field`` and ``rule`` stand beside the message when a parameter breaks a rule.
"""

import http
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import falcon
import webob

from migprog import exception, objects

LOG = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "5"

_MESSAGES = {
    404: "There is nothing at this address.",
    405: "This address cannot be asked in that way; see the Allow header.",
    500: "Something went wrong on our side. The log tells more, under the request id.",
}


def body(code: int, message: str | None = None, **more: str) -> dict[str, Any]:
    """The document of an error; ``more``: its field and rule."""
    title = http.HTTPStatus(code).phrase
    return {
        "error": {
            "code": code,
            "title": title,
            "message": message or _MESSAGES.get(code, title),
            **more,
        }
    }


Body: TypeAlias = Callable[..., dict[str, Any]]


def install(app: "falcon.App[Any, Any]", body: Body = body) -> None:
    """Show every error of a falcon application so, our own and the unforeseen too.

    ``body`` is the form of the face it is, with the parameters of :func:`body`.
    """
    forms = _Handlers(body)
    app.set_error_serializer(forms.serialize)
    app.add_error_handler(Exception, forms.unforeseen)
    app.add_error_handler(exception.BadRequest, forms.bad_request)
    app.add_error_handler(exception.NotFound, forms.not_found)
    app.add_error_handler(exception.ActionsDisabled, forms.not_enabled)
    app.add_error_handler(exception.Refused, forms.refused)
    app.add_error_handler(exception.AgentUnavailable, forms.agent_away)
    app.add_error_handler(objects.Unavailable, forms.unavailable)


class _Handlers:
    """What falcon calls with an error, for one form."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def serialize(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
    ) -> None:
        self._show(resp, error.status_code, error.description)

    def bad_request(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.BadRequest,
        params: dict[str, Any],
    ) -> None:
        self._show(resp, 400, str(error), field=error.field, rule=error.rule)

    def not_found(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.NotFound,
        params: dict[str, Any],
    ) -> None:
        self._show(resp, 404, str(error))

    def not_enabled(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.ActionsDisabled,
        params: dict[str, Any],
    ) -> None:
        self._show(resp, 501, str(error))

    def refused(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.Refused,
        params: dict[str, Any],
    ) -> None:
        self._show(resp, 409, str(error))

    def agent_away(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.AgentUnavailable,
        params: dict[str, Any],
    ) -> None:
        self._show(resp, 503, str(error))

    def unavailable(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: objects.Unavailable,
        params: dict[str, Any],
    ) -> None:
        # The store logs its outages; this is one of many requests that meet one.
        LOG.debug("%s %s: %s", req.method, req.path, error)
        resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
        # What the driver says of it is for the log: it may name hosts and users.
        message = "The database cannot be reached just now. Nothing is lost; try again."
        self._show(resp, 503, message)

    def unforeseen(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        params: dict[str, Any],
    ) -> None:
        LOG.error("%s %s failed", req.method, req.path, exc_info=error)
        self._show(resp, 500)

    def _show(
        self, resp: falcon.Response, code: int, message: str | None = None, **more: str
    ) -> None:
        resp.status = code
        resp.content_type = falcon.MEDIA_JSON
        resp.text = json.dumps(self._body(code, message, **more))


Finish: TypeAlias = Callable[[webob.Request, webob.Response], None]


def finish(request: webob.Request, response: webob.Response) -> None:
    """What every answer of our face has, whoever made it: errors are JSON."""
    if response.status_code >= 400 and response.content_type != falcon.MEDIA_JSON:
        response.content_type = falcon.MEDIA_JSON
        response.json = body(response.status_code)


class Outermost:
    """WSGI middleware around everybody else's: their errors in the face's form, none with a
    traceback.

    ``face`` gives the finish of the face that has a path.
    """

    def __init__(self, app: Any, face: Callable[[str], Finish]) -> None:
        self._app = app
        self._face = face

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO") or "/"
        request = webob.Request(environ)
        try:
            response = request.get_response(self._app)
        except Exception:
            LOG.exception("%s %s failed", request.method, path)
            response = webob.Response(status=500)
        self._face(path)(request, response)
        # Text that tenants chose is data: no browser may take it for a page.
        response.headers["X-Content-Type-Options"] = "nosniff"
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

# SPDX-License-Identifier: Apache-2.0
"""Errors as our face shows them: always JSON, ``{"error": {"code", "title", "message"}}``.

``field`` and ``rule`` stand beside the message when a parameter breaks a rule.
"""

import http
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

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


def install(app: "falcon.App[Any, Any]") -> None:
    """Show every error of a falcon application so, our own and the unforeseen too."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(exception.BadRequest, _bad_request)
    app.add_error_handler(exception.NotFound, _not_found)
    app.add_error_handler(objects.Unavailable, _unavailable)


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    _show(resp, error.status_code, error.description)


def _bad_request(
    req: falcon.Request, resp: falcon.Response, error: exception.BadRequest, params: dict[str, Any]
) -> None:
    _show(resp, 400, str(error), field=error.field, rule=error.rule)


def _not_found(
    req: falcon.Request, resp: falcon.Response, error: exception.NotFound, params: dict[str, Any]
) -> None:
    _show(resp, 404, str(error))


def _unavailable(
    req: falcon.Request, resp: falcon.Response, error: objects.Unavailable, params: dict[str, Any]
) -> None:
    LOG.error("%s %s: %s", req.method, req.path, error)
    resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
    # What the driver says of it is for the log: it may name hosts and users.
    _show(resp, 503, "The database cannot be reached just now. Nothing is lost; try again.")


def _unforeseen(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    LOG.error("%s %s failed", req.method, req.path, exc_info=error)
    _show(resp, 500)


def _show(resp: falcon.Response, code: int, message: str | None = None, **more: str) -> None:
    resp.status = code
    resp.content_type = falcon.MEDIA_JSON
    resp.text = json.dumps(body(code, message, **more))


class Outermost:
    """WSGI middleware around everybody else's: their errors in our form, none with a traceback."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        request = webob.Request(environ)
        try:
            response = request.get_response(self._app)
        except Exception:
            LOG.exception("%s %s failed", request.method, environ.get("PATH_INFO"))
            response = webob.Response(status=500)
        if response.status_code >= 400 and response.content_type != falcon.MEDIA_JSON:
            response.content_type = falcon.MEDIA_JSON
            response.json = body(response.status_code)
        # Text that tenants chose is data: no browser may take it for a page.
        response.headers["X-Content-Type-Options"] = "nosniff"
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

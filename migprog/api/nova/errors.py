# SPDX-License-Identifier: Apache-2.0
"""Errors as Nova shows them: ``{"<name>": {"code", "message"}}``, the name by the code."""

import http
from typing import Any

import falcon
import webob
from oslo_middleware import request_id

from migprog.api import errors
from migprog.api.nova import microversion

CONTENT_TYPE = "application/json; charset=UTF-8"
NOT_FOUND = "The resource could not be found."

_FAULT = "computeFault"
_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
_MESSAGES = {
    404: NOT_FOUND,
    500: "Something went wrong on our side. The log tells more, under the request id.",
}


NAMES = (*dict.fromkeys(_NAMES.values()), _FAULT)


def body(code: int, message: str | None = None, **_more: str) -> dict[str, Any]:
    """The document of an error. Nova's has no place for a field and its rule."""
    message = message or _MESSAGES.get(code, http.HTTPStatus(code).phrase)
    return {_NAMES.get(code, _FAULT): {"code": code, "message": message}}


def install(app: "falcon.App[Any, Any]") -> None:
    """Show every error of a falcon application so."""
    errors.install(app, body)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _no_such_method)


def _no_such_method(
    req: falcon.Request,
    resp: falcon.Response,
    error: falcon.HTTPMethodNotAllowed,
    params: dict[str, Any],
) -> None:
    """Nova routes by method and path together: there is nothing at this pair."""
    raise falcon.HTTPNotFound


def finish(request: webob.Request, response: webob.Response) -> None:
    """What every answer of this face has, whoever made it."""
    if response.status_code >= 400:
        _as_nova(response)
    microversion.answer(request, response)
    response.headers["X-Compute-Request-Id"] = request.environ[request_id.ENV_REQUEST_ID]


def _as_nova(response: webob.Response) -> None:
    """The errors of what stands before us (no token, not from here, no Keystone) in Nova's form."""
    document = _document(response)
    if document is None:
        response.json = body(response.status_code)
    elif "error" in document:
        response.json = body(response.status_code, document["error"].get("message"))
    response.headers["Content-Type"] = CONTENT_TYPE


def _document(response: webob.Response) -> dict[str, Any] | None:
    """None: it has none of ours, as when it is a page, or the answer to a HEAD."""
    if response.content_type != falcon.MEDIA_JSON or not response.body:
        return None
    document: dict[str, Any] = response.json
    return document

# SPDX-License-Identifier: Apache-2.0
"""Errors in Nova's form, ``{"<name>": {"code", "message"}}`` with the name for the code."""

import http
from collections.abc import Mapping
from typing import Any

import falcon
import webob
from oslo_middleware import request_id

from migprog.api import errors
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import Failure
from migprog.api.nova import microversion
from migprog.api.outermost import AnswerForm, Headers

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
    500: ErrorCode.INTERNAL_ERROR.meaning,
}


# Statuses that differ from the native API's.
_STATUS = {
    ErrorCode.ACTIONS_DISABLED: 501,
    ErrorCode.AGENT_ACTIONS_DISABLED: 501,
    ErrorCode.UNEXPECTED_BODY: 413,
}

NAMES = (*dict.fromkeys(_NAMES.values()), _FAULT)


def form(failure: Failure, _environ: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return a failure in Nova's form, which has no codes of migprog's, no field and no rule."""
    status = _STATUS.get(failure.code, failure.status)
    message = failure.detail or _MESSAGES.get(status) or failure.code.meaning
    return status, _body(status, message)


def _body(status: int, message: str | None = None) -> dict[str, Any]:
    message = message or _MESSAGES.get(status, http.HTTPStatus(status).phrase)
    return {_NAMES.get(status, _FAULT): {"code": status, "message": message}}


def install(app: "falcon.App[Any, Any]") -> None:
    """Show every error of a falcon application in this form."""
    errors.install(app, form)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _no_such_method)


def _no_such_method(
    req: falcon.Request,
    resp: falcon.Response,
    error: falcon.HTTPMethodNotAllowed,
    params: dict[str, Any],
) -> None:
    """Answer 404: Nova routes by method and path together."""
    raise falcon.HTTPNotFound


def _shape(_request: webob.Request, response: webob.Response) -> None:
    if response.status_code >= 400:
        _as_nova(response)


def _headers(environ: Mapping[str, Any]) -> Headers:
    ours = environ[request_id.ENV_REQUEST_ID]
    return [*microversion.headers(environ), ("X-Compute-Request-Id", ours)]


ANSWER_FORM = AnswerForm(_shape, _headers)


def _as_nova(response: webob.Response) -> None:
    """Put errors of the middleware (no token, not local, no Keystone) into Nova's form."""
    document = _document(response)
    if document is None:
        response.json = _body(response.status_code)
    elif "errors" in document:
        response.json = _body(response.status_code, document["errors"][0]["detail"])
    elif "error" in document:
        # Keystone's form.
        response.json = _body(response.status_code, document["error"].get("message"))
    response.headers["Content-Type"] = CONTENT_TYPE


def _document(response: webob.Response) -> dict[str, Any] | None:
    """Return an answer's document; None if it is HTML, or has no body as the answer to a HEAD."""
    if response.content_type != falcon.MEDIA_JSON or not response.body:
        return None
    document: dict[str, Any] = response.json
    return document

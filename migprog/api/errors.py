# SPDX-License-Identifier: Apache-2.0
"""Errors in the form of OpenStack's API guideline, whichever component raised them::

    {"errors": [{"request_id", "code", "status", "title", "detail"}]}

``code`` is one of :mod:`migprog.api.error_codes`. Errors of a parameter or a body also have
``field`` and ``rule``, errors of an unsupported microversion ``min_version`` and ``max_version``.
"""

import http
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import falcon
import webob
from oslo_middleware import request_id

from migprog import exception, objects
from migprog.api.error_codes import BY_FAILURE, BY_REFUSAL, BY_STATUS, ErrorCode

LOG = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request fails. ``detail``: a sentence, None for the meaning of the code.

    ``more``: further keys of the document.
    """

    code: ErrorCode
    status: int
    detail: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, code: ErrorCode, detail: str | None = None, **more: str) -> Self:
        return cls(code, code.status, detail, more)

    @classmethod
    def of_status(cls, status: int, detail: str | None = None) -> Self:
        """Return the failure for a status about which nothing more is known."""
        return cls(BY_STATUS.get(status, ErrorCode.UNDEFINED), status, detail)


class ApiError(falcon.HTTPError):
    """A failure as falcon's error, for resources and middleware to raise."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str | None = None,
        retry_after_seconds: int | None = None,
        **more: str,
    ) -> None:
        headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
        super().__init__(code.status, description=detail, headers=headers)
        self.failure = Failure.of(code, detail, **more)


# Returns the status and document of a failure in an API's form, for a request's WSGI environment.
Form: TypeAlias = Callable[[Failure, Mapping[str, Any]], tuple[int, dict[str, Any]]]


def form(failure: Failure, environ: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return a failure in the native API's form."""
    try:
        title = http.HTTPStatus(failure.status).phrase
    except ValueError:
        title = "Error"
    error = {
        "request_id": environ.get(request_id.ENV_REQUEST_ID),
        "code": failure.code.value,
        "status": failure.status,
        "title": title,
        "detail": failure.detail or failure.code.meaning,
        **failure.more,
    }
    return failure.status, {"errors": [error]}


def respond(failure: Failure, environ: Mapping[str, Any]) -> webob.Response:
    """Return a failure as an answer of WSGI middleware."""
    status, document = form(failure, environ)
    return webob.Response(json=document, status=status)


# Codes of the errors that cross layers, see migprog/exception.py.
_CODES: Mapping[type[exception.MigprogError], ErrorCode] = {
    exception.ServerNotFound: ErrorCode.SERVER_NOT_FOUND,
    exception.MigrationNotFound: ErrorCode.MIGRATION_NOT_FOUND,
    exception.HostNotFound: ErrorCode.HOST_NOT_FOUND,
    exception.ActionsDisabled: ErrorCode.ACTIONS_DISABLED,
    exception.AgentActionsDisabled: ErrorCode.AGENT_ACTIONS_DISABLED,
    exception.MeasuringDisabled: ErrorCode.MEASURING_DISABLED,
    exception.AgentMeasuringDisabled: ErrorCode.AGENT_MEASURING_DISABLED,
    exception.NotMeasurable: ErrorCode.MEASURING_FAILED,
    exception.NotMeasured: ErrorCode.NOT_MEASURED,
    exception.TooManyServers: ErrorCode.TOO_MANY_SERVERS,
    exception.Conflict: ErrorCode.ACTION_REFUSED,
    exception.AgentUnavailable: ErrorCode.AGENT_SILENT,
    exception.AgentTimeout: ErrorCode.AGENT_TIMEOUT,
    exception.BadRequest: ErrorCode.INVALID_PARAMETER,
    exception.NotTogether: ErrorCode.INCOMPATIBLE_PARAMETERS,
    exception.BadBody: ErrorCode.INVALID_BODY,
}


def install(app: "falcon.App[Any, Any]", form: Form = form) -> None:
    """Show every error of a falcon application in this form, unexpected errors, too."""
    handlers = _Handlers(form)
    app.set_error_serializer(handlers.serialize)
    app.add_error_handler(Exception, handlers.unexpected)
    for kind in _CODES:
        app.add_error_handler(kind, handlers.known)
    app.add_error_handler(objects.Unavailable, handlers.unavailable)


class _Handlers:
    """falcon's error handlers for one form."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def serialize(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
    ) -> None:
        if isinstance(error, ApiError):
            failure = error.failure
        else:
            failure = Failure.of_status(error.status_code, error.description)
        self._show(req, resp, failure)

    def known(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: exception.MigprogError,
        params: dict[str, Any],
    ) -> None:
        code = next(_CODES[kind] for kind in type(error).mro() if kind in _CODES)
        more = {}
        if isinstance(error, exception.Conflict) and error.reason is not None:
            code = BY_REFUSAL[error.reason]
        if isinstance(error, exception.NotMeasurable) and error.reason is not None:
            code = BY_FAILURE[error.reason]
        if isinstance(error, exception.BadRequest):
            more = {"field": error.field, "rule": error.rule}
        self._show(req, resp, Failure.of(code, str(error), **more))

    def unavailable(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: objects.Unavailable,
        params: dict[str, Any],
    ) -> None:
        # The store logs its outages; this is one of many requests during an outage.
        LOG.debug("%s %s: %s", req.method, req.path, error)
        resp.set_header("Retry-After", RETRY_AFTER_SECONDS)
        # Without the driver's text, which may name hosts and users.
        self._show(req, resp, Failure.of(ErrorCode.DATABASE_UNAVAILABLE))

    def unexpected(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        params: dict[str, Any],
    ) -> None:
        LOG.error(
            "unexpected error in %s %s, answered 500; report this traceback as a bug",
            req.method,
            req.path,
            exc_info=error,
        )
        self._show(req, resp, Failure.of(ErrorCode.INTERNAL_ERROR))

    def _show(self, req: falcon.Request, resp: falcon.Response, failure: Failure) -> None:
        status, document = self._form(failure, req.env)
        resp.status = status
        resp.content_type = falcon.MEDIA_JSON
        resp.text = json.dumps(document)


def shape(request: webob.Request, response: webob.Response) -> None:
    """Give an error of the native API its form unless it has it."""
    if response.status_code >= 400 and not _has_our_form(response):
        _status, document = form(Failure.of_status(response.status_code), request.environ)
        response.content_type = falcon.MEDIA_JSON
        response.json = document


def _has_our_form(response: webob.Response) -> bool:
    """Return whether an error has the native API's form; keystonemiddleware uses Keystone's, others
    HTML. The answer to a HEAD has no body."""
    if response.content_type != falcon.MEDIA_JSON:
        return False
    return not response.body or "errors" in response.json

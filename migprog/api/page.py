# SPDX-License-Identifier: Apache-2.0
"""The page at ``/ui/``: static files without data, which need no token; and ``/ui/access``, what a
token's user may do, which only the page asks for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import falcon
import webob

from migprog import policies, ui
from migprog.api import errors
from migprog.api.access import Rules
from migprog.api.action_requests import Disabled
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import Failure
from migprog.api.resource import Application, Resource

ROOT = "/ui"
ACCESS = f"{ROOT}/access"
LOGIN = f"{ROOT}/login"
# No script, style, frame or form but the page's own, none in the text of the page itself, and no
# other host.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FOR_EVER = "public, max-age=31536000, immutable"


def serves(path: str) -> bool:
    """Return whether a path is the page's, and not the API's."""
    return (path == ROOT or path.startswith(f"{ROOT}/")) and path != ACCESS


class Page:
    """WSGI middleware in front of authentication: answers with the page's files.

    ``login``: the application that passes a password on to Keystone; None: it is not permitted.
    """

    def __init__(
        self, app: Application, files: Mapping[str, ui.File], login: Application | None = None
    ) -> None:
        self._app = app
        self._files = files
        self._login = login

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO") or "/"
        if not serves(path):
            return self._app(environ, start_response)
        if path == LOGIN and self._login is not None:
            return self._login(environ, start_response)
        return self._answer(webob.Request(environ), path)(environ, start_response)

    def _answer(self, request: webob.Request, path: str) -> webob.Response:
        file = self._files.get(path.removeprefix(f"{ROOT}/"))
        if path != ROOT and file is None:
            return errors.respond(Failure.of(ErrorCode.NO_SUCH_ADDRESS), request.environ)
        if request.method not in ("GET", "HEAD"):
            answer = errors.respond(Failure.of(ErrorCode.METHOD_NOT_ALLOWED), request.environ)
            answer.allow = ("GET", "HEAD")
            return answer
        if file is None:
            return webob.Response(status=308, location=f"{request.application_url}{ROOT}/")
        return _file(request, file, is_page=path == f"{ROOT}/")


def _file(request: webob.Request, file: ui.File, is_page: bool) -> webob.Response:
    """Return the answer with a file. Its tag is weak: it says nothing of the compression."""
    answer = webob.Response(conditional_response=True, headerlist=list(_HEADERS.items()))
    answer.content_type, _, parameters = file.media_type.partition("; ")
    if parameters:
        answer.charset = parameters.partition("=")[2]
    answer.etag = (file.tag, False)
    answer.cache_control = "no-cache" if is_page else _FOR_EVER
    answer.vary = ("Accept-Encoding",)
    accepted = request.accept_encoding.acceptable_offers(["gzip"])
    # Without Accept-Encoding send it uncompressed; webob would offer gzip.
    if request.headers.get("Accept-Encoding") and accepted:
        answer.content_encoding = "gzip"
        answer.body = file.compressed
    else:
        answer.body = file.content
    return answer


class Access(Resource):
    """Who the user is, and which of what the page offers the policy permits."""

    RULES: ClassVar[Rules] = {"GET": policies.migrations.LIST}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.query(req)
        may, user = req.context.access.may, req.context.user
        resp.set_header("Cache-Control", "private, no-store")
        resp.media = {
            "user_id": user.user_id,
            "project_id": user.project_id,
            "actions": not isinstance(self.parts.actions, Disabled),
            "abort": may(policies.migrations.ABORT),
            "force_complete": may(policies.migrations.FORCE_COMPLETE),
            "hosts": may(policies.migrations.HOSTS),
            "agents": may(policies.agents.LIST),
            "drain": may(policies.hosts.DRAIN),
        }


ROUTES: Mapping[str, type[Resource]] = {ACCESS: Access}

# SPDX-License-Identifier: Apache-2.0
"""Authentication: by a Keystone token, or without Keystone of this machine only."""

from collections.abc import Callable, Iterable
from typing import Any

import falcon

from migprog import context, policies
from migprog.api import access, errors
from migprog.api.error_codes import ErrorCode
from migprog.api.resource import Application

# Exactly as routed; every other path needs a token.
PUBLIC = frozenset({"/", "/healthcheck", "/openapi.json", "/v2.1", "/v2.1/"})


def but_public(app: Application, authenticate: Callable[[Application], Application]) -> Application:
    """Return ``app`` with ``authenticate`` in front of all paths but public ones."""
    protected = authenticate(app)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        public = (environ.get("PATH_INFO") or "/") in PUBLIC
        return (app if public else protected)(environ, start_response)

    return choose


class ByToken:
    """Falcon middleware after keystonemiddleware, whose headers clients cannot forge. Sets
    ``req.context.user``, the token's user, and ``req.context.access``, what the user may do."""

    def __init__(self, policy: policies.Policy) -> None:
        self._policy = policy

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.path in PUBLIC:
            req.context.access = access.NOTHING
            return
        if req.get_header("X-Identity-Status") != "Confirmed":
            raise errors.ApiError(ErrorCode.UNAUTHORIZED)
        user = context.RequestContext.from_environ(req.env, overwrite=False)
        req.context.user = user
        req.context.access = access.Access(may=self._policy.of(user), project=user.project_id)


class Everybody:
    """Falcon middleware after :class:`local_access.LoopbackOnly`: any client may do all."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.access = access.UNLIMITED

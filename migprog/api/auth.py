# SPDX-License-Identifier: Apache-2.0
"""Who asks: with Keystone who has a token, without it this machine alone."""

from collections.abc import Callable, Iterable
from typing import Any

import falcon

from migprog import context, policies
from migprog.api import access, errors
from migprog.api.error_codes import ErrorCode
from migprog.api.resource import Application

# Exactly these, as they are routed; whatever is not here is not public.
PUBLIC = frozenset({"/", "/healthcheck", "/openapi.json", "/v2.1", "/v2.1/"})


def but_public(app: Application, authenticate: Callable[[Application], Application]) -> Application:
    """``app`` behind ``authenticate``, but for what is public."""
    protected = authenticate(app)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        public = (environ.get("PATH_INFO") or "/") in PUBLIC
        return (app if public else protected)(environ, start_response)

    return choose


class ByToken:
    """Falcon middleware behind keystonemiddleware, whose headers clients cannot forge: what the
    user of the token, ``req.context.user``, may do is ``req.context.access``."""

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
    """Falcon middleware behind :class:`local.LoopbackOnly`: who can ask may do everything."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.access = access.UNLIMITED

# SPDX-License-Identifier: Apache-2.0
"""Who asks: with Keystone who has a token, without it this machine alone."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import falcon
import webob
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from oslo_config import cfg

from migprog import context, exception, policies
from migprog.api import access, errors
from migprog.api.resource import Application
from migprog.conf.api import is_loopback

LOG = logging.getLogger(__name__)

# Exactly these, as they are routed; whatever is not here is not public.
PUBLIC = frozenset({"/", "/healthcheck", "/openapi.json", "/v2.1", "/v2.1/"})

_FORWARDED_FOR = re.compile(r'\bfor="?\[?([^\s",;\]]*)', re.IGNORECASE)


def keystone(conf: cfg.ConfigOpts, app: Application) -> Application:
    """keystonemiddleware in front of ``app``, with its ``[keystone_authtoken]`` options.

    Raises :class:`exception.ConfigError` when these are not there.
    """
    try:
        protected: Application = auth_token.AuthProtocol(app, {"oslo_config_config": conf})
    except (exceptions.ClientException, cfg.Error, TypeError, ValueError) as error:
        raise exception.ConfigError(f"[keystone_authtoken] {error}") from error
    group = conf.keystone_authtoken
    if not (group.auth_type or group.auth_section):
        raise exception.ConfigError(
            "[keystone_authtoken] auth_type: is not set, and [api] auth_strategy is keystone"
        )
    interface, region = group.interface, group.region_name

    def answered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return protected(environ, start_response)
        except exceptions.EndpointNotFound as error:
            # The middleware looks for Keystone in its own catalog, and does not foresee this.
            LOG.error(
                "no token can be checked: Keystone's catalog has no endpoint of identity for "
                "[keystone_authtoken] interface = %s, region_name = %s: %s",
                *(interface, region, error),
            )
            message = "No token can be checked just now: Keystone's catalog has no endpoint for it."
            refusal = webob.Response(json=errors.body(503, message), status=503)
            return refusal(environ, start_response)

    return answered


def but_public(app: Application, authenticate: Callable[[Application], Application]) -> Application:
    """``app`` behind ``authenticate``, but for what is public."""
    protected = authenticate(app)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        public = (environ.get("PATH_INFO") or "/") in PUBLIC
        return (app if public else protected)(environ, start_response)

    return choose


class ByToken:
    """Falcon middleware behind :func:`keystone`, whose headers clients cannot forge: what the
    user of the token, ``req.context.user``, may do is ``req.context.access``."""

    def __init__(self, policy: policies.Policy) -> None:
        self._policy = policy

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.path in PUBLIC:
            req.context.access = access.NOTHING
            return
        if req.get_header("X-Identity-Status") != "Confirmed":
            raise falcon.HTTPUnauthorized(description="A valid token is needed.")
        user = context.RequestContext.from_environ(req.env, overwrite=False)
        req.context.user = user
        req.context.access = access.Access(may=self._policy.of(user), project=user.project_id)


class Everybody:
    """Falcon middleware behind :class:`LoopbackOnly`: who can ask may do everything."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.access = access.UNLIMITED


class LoopbackOnly:
    """WSGI middleware that answers no one but this machine.

    It stands in front of what rewrites the peer's address: here only the real one counts.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if is_local(environ):
            return self._app(environ, start_response)
        message = "[api] auth_strategy is noauth: only this machine's loopback address may ask."
        return webob.Response(json=errors.body(403, message), status=403)(environ, start_response)


def is_local(environ: Mapping[str, Any]) -> bool:
    """Tell whether the peer, and whoever it says it asks for, are on this machine.

    A server on a socket file tells no address, and so might answer anybody.
    """
    origins = [environ.get("REMOTE_ADDR") or ""]
    if forwarded := environ.get("HTTP_X_FORWARDED_FOR"):
        origins += forwarded.split(",")
    origins += _FORWARDED_FOR.findall(environ.get("HTTP_FORWARDED", ""))
    return all(is_loopback(origin.strip()) for origin in origins)

# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: its routes, and the middleware that each request passes."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import falcon
import webob
from oslo_config import cfg
from oslo_middleware import cors, request_id

from migprog import context, policies, ui
from migprog.api import (
    access,
    agents,
    auth,
    errors,
    forecasts,
    health,
    hosts,
    json_bytes,
    local_access,
    microversion,
    migrations,
    openapi,
    outermost,
    page,
    page_login,
    plans,
    request_metrics,
    servers,
    summaries,
    versions,
)
from migprog.api.action_requests import Actions, Disabled
from migprog.api.error_codes import ErrorCode
from migprog.api.list_watchers import ListWatchers
from migprog.api.long_poll import LongPolls
from migprog.api.measuring import Disabled as MeasuringDisabled
from migprog.api.measuring import Measuring
from migprog.api.nova import app as nova
from migprog.api.nova import errors as nova_errors
from migprog.api.resource import Application, Parts, Resource
from migprog.conf import api as api_conf
from migprog.conf import middleware
from migprog.conf import nova as nova_conf
from migprog.objects import Store

ROUTES: dict[str, type[Resource]] = {
    "/": versions.Versions,
    "/agents": agents.Agents,
    "/healthcheck": health.Health,
    "/hosts/{host}": hosts.Host,
    "/hosts/{host}/drain": hosts.Drain,
    "/hosts/{host}/drain-plan": plans.DrainPlan,
    "/migrations": migrations.Migrations,
    "/openapi.json": openapi.OpenApi,
    "/servers/{server_uuid}": servers.Server,
    "/servers/{server_uuid}/forecast": forecasts.Forecast,
    "/servers/{server_uuid}/migrations": migrations.ServerMigrations,
    "/servers/{server_uuid}/migrations/{id_or_uuid}": migrations.ServerMigration,
    "/servers/{server_uuid}/migrations/{id_or_uuid}/action": migrations.MigrationAction,
    "/servers/{server_uuid}/migrations/{id_or_uuid}/history": migrations.History,
    "/servers/{server_uuid}/migrations/{id_or_uuid}/summary": summaries.Summary,
}

MAX_URL_CHARACTERS = 4096
_METHODS = ("GET", "HEAD", "OPTIONS")


def create(
    conf: cfg.ConfigOpts,
    store: Store,
    authenticate: Callable[[Application], Application] | None = None,
    actions: Actions | None = None,
    long_polls: LongPolls | None = None,
    news: ListWatchers | None = None,
    measuring: Measuring | None = None,
) -> Application:
    """Return the whole API for ``store``.

    ``authenticate`` replaces keystonemiddleware if ``[api] auth_strategy`` is keystone.
    ``actions`` requests actions, ``measuring`` measurements; by default they are disabled.
    ``long_polls``: the long polls; by default as many as ``[api] max_long_polls``.
    ``news``: the watchers of lists; by default as ``[api] max_watchers`` and ``news_interval`` say.
    """
    nova_conf.register_opts(conf)
    parts = Parts(
        store=store,
        health=health.checks(conf),
        max_limit=conf.api.max_limit,
        stale_after_seconds=conf.api.stale_after,
        nova_names=nova_conf.is_asked(conf),
        actions=actions or Disabled(),
        measuring=measuring or MeasuringDisabled(),
        openapi=openapi.build([*ROUTES.items(), *nova.routes()], conf.api.max_limit),
        news=news or watchers(conf, store),
        long_polls=long_polls or LongPolls(conf.api.max_long_polls or 0),
    )
    with_keystone = conf.api.auth_strategy == api_conf.KEYSTONE
    identity = auth.ByToken(policies.Policy(conf)) if with_keystone else auth.Everybody()
    app = _apis(parts, identity, page.ROUTES if conf.api.ui_enabled else {})
    if with_keystone:
        # Not at the top: an API without Keystone starts sooner without it.
        from migprog.api import keystone

        with_token = functools.partial(keystone.authenticated, conf, threads=conf.api.threads)
        app = auth.but_public(app, authenticate or with_token)
    if conf.api.ui_enabled:
        app = _with_page(app, conf, with_keystone)
    middleware.register_opts(conf)
    app = outermost.limited(outermost.behind_proxies(app, conf), conf)
    if not with_keystone:
        host = api_conf.bind_address(conf).host
        app = local_access.LoopbackOnly(app, [host], conf.cors.allowed_origin or ())
    app = outermost.Outermost(app, _form)
    if conf.cors.allowed_origin:
        # Outermost, as pages of other origins must be able to read errors, too.
        app = cors.CORS(_without_preflights(app), conf)
    return request_metrics.measured(outermost.with_request_id(app))


def _with_page(app: Application, conf: cfg.ConfigOpts, with_keystone: bool) -> Application:
    """Return ``app`` with the page at ``/ui/``."""
    login: Application | None = None
    if with_keystone and conf.api.ui_password_login:
        from migprog.api import keystone

        ask = page_login.by_keystone(conf, keystone.deadline_seconds(conf))
        login = page_login.Login(ask)
    files = ui.load(conf.api.auth_strategy, password_login=login is not None)
    return page.Page(app, files, login)


def watchers(conf: cfg.ConfigOpts, store: Store) -> ListWatchers:
    """Return the watchers of lists of a process, as they are configured."""
    group = conf.api
    return ListWatchers(store, group.max_watchers, group.news_interval, group.stale_after)


def _apis(
    parts: Parts, identity: auth.ByToken | auth.Everybody, more: Mapping[str, type[Resource]]
) -> Application:
    """Return both APIs, each with its own routes and form of errors; ``more``: native routes that
    are no part of the documented API."""
    before: list[Any] = [request_metrics.Route(), Bounds(), identity]
    ours = falcon.App(middleware=[*before, microversion.Negotiation(), access.Enforcement()])
    errors.install(ours)
    json_bytes.install(ours)
    for path, resource in [*ROUTES.items(), *more.items()]:
        ours.add_route(path, resource(parts))
    novas = nova.create(parts, before)

    def choose(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        app = novas if nova.serves(environ.get("PATH_INFO") or "/") else ours
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    return choose


def _without_preflights(app: Application) -> Application:
    """Answer CORS preflights, which have no token, without passing them on."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return webob.Response(status=204)(environ, start_response)
        return app(environ, start_response)

    return answer


def refuse(path: str | None, status: int) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return the answer to an invalid HTTP request, for :class:`migprog.httpd.Server`."""
    return outermost.early_answer(_form, path, status)


_NATIVE = outermost.AnswerForm(errors.shape, microversion.headers)
# Its files have no microversion.
_PAGE = outermost.AnswerForm(errors.shape, lambda _environ: [])


def _form(path: str) -> outermost.AnswerForm:
    if nova.serves(path):
        return nova_errors.ANSWER_FORM
    return _PAGE if page.serves(path) else _NATIVE


class Bounds:
    """Refuses what no valid request has. Sets ``req.context.user`` with the request's id."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        asked = req.env.get(request_id.ENV_REQUEST_ID)
        req.context.user = context.RequestContext(request_id=asked)
        if len(req.relative_uri) > MAX_URL_CHARACTERS:
            raise errors.ApiError(
                ErrorCode.URI_TOO_LONG,
                f"The URL must have at most {MAX_URL_CHARACTERS} characters.",
            )
        # oslo.middleware limits the size of bodies; these methods must have none.
        in_chunks = req.get_header("Transfer-Encoding") is not None
        if req.method in _METHODS:
            if req.content_length or in_chunks:
                raise errors.ApiError(
                    ErrorCode.UNEXPECTED_BODY, f"A {req.method} request must not have a body."
                )
        elif in_chunks:
            raise errors.ApiError(
                ErrorCode.LENGTH_REQUIRED,
                "The request must have a Content-Length header; chunked bodies are not accepted.",
            )

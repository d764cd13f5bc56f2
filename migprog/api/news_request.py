# SPDX-License-Identifier: Apache-2.0
"""Requests for news of a list: ``GET /migrations?in_progress=true&wait=SECONDS&since=CURSOR``."""

from collections.abc import Mapping
from typing import Any

import falcon
from microversion_parse import Version
from webob import acceptparse

from migprog import exception, httpd, objects, policies
from migprog.api.list_watchers import ListWatchers, Watcher
from migprog.api.long_poll import LongPolls
from migprog.api.microversion import NEWS_SINCE
from migprog.api.news_bodies import View
from migprog.core.forecast.verdict import Verdict
from migprog.core.news import Selection
from migprog.core.status import ENDED, Status
from migprog.metrics import api as metrics

PARAMETERS = ("wait", "since")
_FILTERS = ("in_progress", "project_id", "host", "server_uuid", "status", "verdict")
# A first round takes no longer, or is given up.
_FIRST_SECONDS = 30.0


def is_meant(query: Mapping[str, Any], version: Version) -> bool:
    """Return whether news is asked for. Raises :class:`exception.BadRequest` for parameters that
    a microversion does not have."""
    given = [name for name in PARAMETERS if name in query]
    if given and version < NEWS_SINCE:
        raise exception.BadRequest(given[0], f"is unknown before microversion {NEWS_SINCE}")
    return bool(given)


def answer(
    req: falcon.Request,
    resp: falcon.Response,
    news: ListWatchers,
    long_polls: LongPolls,
    query: Mapping[str, Any],
) -> None:
    """Answer with what is new in the list of a valid ``query``, now or later.

    Raises :class:`exception.BadRequest`, :class:`migprog.api.errors.ApiError`,
    :class:`objects.Unavailable`.
    """
    _check(query)
    access = req.context.access
    view = View(
        _selection(query, access.only_project()),
        access.may(policies.migrations.HOSTS),
        req.context.version,
        req.prefix,
        _accepts_gzip(req),
    )
    # HEAD has no body that could come later.
    seconds = 0 if req.method == "HEAD" else query["wait"]
    found = news.ask(view, query.get("since"), seconds, req.context.user.user_id)
    if isinstance(found, bytes):
        resp.data = found
    elif httpd.PARK in req.env and req.method == "GET":
        req.env[metrics.LONG_POLL] = True
        resp.stream = found
    else:
        resp.data = _waited(req, news, long_polls, found, seconds)
    resp.content_type = falcon.MEDIA_JSON
    # Of this moment; a cursor is for one request after it.
    resp.set_header("Cache-Control", "private, no-store")
    if view.is_compressed:
        resp.set_header("Content-Encoding", "gzip")


def _check(query: Mapping[str, Any]) -> None:
    if "wait" not in query:
        raise exception.BadRequest("wait", "must be given with since")
    for name in query:
        if name not in (*PARAMETERS, *_FILTERS):
            raise exception.BadRequest(name, "must not be given with wait")
    if query.get("in_progress") is not True:
        raise exception.BadRequest("in_progress", "must be true with wait")
    if query.get("status") in ENDED:
        raise exception.BadRequest("status", "must be one in progress with wait")
    if query.get("verdict") == Verdict.ENDED:
        raise exception.BadRequest("verdict", "must be one in progress with wait")


def _accepts_gzip(req: falcon.Request) -> bool:
    """Return whether the client says that it understands gzip."""
    given = req.get_header("Accept-Encoding")
    if not given:
        return False
    return bool(acceptparse.create_accept_encoding_header(given).acceptable_offers(["gzip"]))


def _selection(query: Mapping[str, Any], only_project: str | None) -> Selection:
    status, server = query.get("status"), query.get("server_uuid")
    return Selection(
        project_id=only_project or query.get("project_id"),
        host=query.get("host"),
        # UUIDs are stored in lower case.
        server_uuid=server and server.lower(),
        status=status and Status(status),
        verdict=query.get("verdict"),
    )


def _waited(
    req: falcon.Request, news: ListWatchers, long_polls: LongPolls, watcher: Watcher, seconds: float
) -> bytes:
    """Return the answer after having waited for it in this thread: under other servers than ours,
    and for a first round."""
    try:
        if seconds:
            with long_polls.place(req):
                watcher.wait(_FIRST_SECONDS + seconds)
        else:
            watcher.wait(_FIRST_SECONDS)
    finally:
        news.forget(watcher)
    if watcher.body is None:
        raise objects.Unavailable("has not answered for some seconds")
    return watcher.body

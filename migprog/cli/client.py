# SPDX-License-Identifier: Apache-2.0
"""What the native API has: its addresses and documents; :mod:`migprog.cli.api_requests` asks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib import parse

from keystoneauth1 import adapter, noauth, session

from migprog import SERVICE_TYPE
from migprog.cli.api_requests import ApiRequests
from migprog.cli.errors import ApiRefused, ApiUnavailable, NotFound
from migprog.cli.record import Record
from migprog.version import RELEASE

ADVICE_SINCE, SUMMARY_SINCE, NEWS_SINCE, FORECAST_SINCE = (1, 2), (1, 3), (1, 4), (1, 6)
PLAN_SINCE = (1, 7)
# What may be answered later, by its key: since when, and what it is called.
_LATER = {"forecast": (FORECAST_SINCE, "forecast"), "drain_plan": (PLAN_SINCE, "plan of a drain")}
_MOST_PAUSE_SECONDS = 30.0
# Pages of a list, of 1,000 migrations each by default.
MAX_PAGES = 10
# Codes of an API that is asked for the list instead.
_NO_NEWS = {
    f"{SERVICE_TYPE}.{word}"
    for word in ("too-many-watchers", "too-many-migrations", "too-many-long-polls")
}

Query = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Migrations, and whether there are more than were read."""

    records: tuple[Record, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What is new in a list: ``changed`` records, final records of those that have ``ended``, ids
    of all that have ``left`` it. ``is_whole``: the list is ``changed`` alone."""

    changed: tuple[Record, ...]
    ended: tuple[Record, ...]
    left: tuple[int, ...]
    is_whole: bool
    cursor: str


@dataclass(frozen=True, slots=True)
class Later:
    """What was asked for will be at ``path``, with ``key``; look again in some ``seconds``."""

    path: str
    seconds: float
    key: str = "forecast"


def without_login(url: str, microversion: tuple[int, int] | None = None) -> "Client":
    """Return a client of an API that needs no token."""
    made = session.Session(
        auth=noauth.NoAuth(endpoint=url), app_name="migprog", app_version=RELEASE
    )
    return Client(adapter.Adapter(made, endpoint_override=url.rstrip("/")), microversion)


class Client(ApiRequests):
    """What the API at one endpoint has; for how it is asked see :class:`ApiRequests`.

    Its methods raise :class:`ApiUnavailable` and :class:`ApiRefused`.
    """

    def within(self, deadline_seconds: float) -> "Client":
        """Return a client of the same API and microversion whose calls have another deadline."""
        made = Client(self._api, self.microversion, deadline_seconds)
        made._is_fixed = self._is_fixed
        return made

    def migrations(self, query: Query, max_pages: int = 1) -> Page:
        """Return migrations as the API orders them, at most so many pages of them."""
        path = "/migrations?" + parse.urlencode(query)
        records: list[Record] = []
        for _ in range(max_pages):
            document = self._get(path, "migrations")
            records += document["migrations"]
            links = document.get("migrations_links")
            if not links:
                return Page(tuple(records))
            # The rest of the address is the API's own, which may be another by way of a proxy.
            path = "/migrations?" + parse.urlsplit(links[0]["href"]).query
        return Page(tuple(records), truncated=True)

    def in_progress(self, query: Query) -> Page:
        """Return the migrations in progress that ``query`` selects, at most ten pages."""
        return self.migrations({"in_progress": "true", **query}, MAX_PAGES)

    def news(self, query: Query, cursor: str | None, wait_seconds: int) -> News | None:
        """Return what is new in the list of migrations in progress that ``query`` selects since
        the answer that had ``cursor``, at the latest after ``wait_seconds``; None: this API has no
        news, or no watcher is free."""
        if self.microversion < NEWS_SINCE:
            return None
        asked = {"in_progress": "true", **query, "wait": wait_seconds}
        if cursor is not None:
            asked["since"] = cursor
        try:
            found = self._get("/migrations?" + parse.urlencode(asked), "migrations")
        except ApiRefused:
            # An older API does not know the parameters.
            if self.microversion < NEWS_SINCE:
                return None
            raise
        except ApiUnavailable as error:
            if error.code in _NO_NEWS:
                return None
            raise
        if not {"ended", "left", "whole", "cursor"} <= found.keys():
            return None
        return News(
            tuple(found["migrations"]),
            tuple(found["ended"]),
            tuple(found["left"]),
            found["whole"],
            found["cursor"],
        )

    def migration(self, server_uuid: str, id_or_uuid: str) -> Record:
        """Return one migration."""
        path = f"/servers/{_quoted(server_uuid)}/migrations/{_quoted(id_or_uuid)}"
        found: Record = self._get(path, "migration")["migration"]
        return found

    def newest(self, server_uuid: str) -> Record | None:
        """Return a server's newest migration; None if none is known."""
        try:
            path = f"/servers/{_quoted(server_uuid)}/migrations?limit=1"
            document = self._get(path, "migrations")
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise
        return next(iter(document["migrations"]), None)

    def history(self, server_uuid: str, id_or_uuid: str) -> list[dict[str, Any]]:
        """Return the points of a migration, the oldest first."""
        path = f"/servers/{_quoted(server_uuid)}/migrations/{_quoted(id_or_uuid)}/history"
        points: list[dict[str, Any]] = self._get(path, "history")["history"]
        return points

    def summary(self, server_uuid: str, id_or_uuid: str) -> dict[str, Any]:
        """Return what a migration's record says in hindsight. Raises :class:`ClientError` if the
        API is older than that."""
        path = f"/servers/{_quoted(server_uuid)}/migrations/{_quoted(id_or_uuid)}/summary"
        self.check_microversion(SUMMARY_SINCE, "summary")
        try:
            found: dict[str, Any] = self._get(path, "summary")["summary"]
        except ApiRefused:
            # The first request has shown how old the API is.
            self.check_microversion(SUMMARY_SINCE, "summary")
            raise
        return found

    def forecast(self, server_uuid: str, asked: Mapping[str, Any]) -> dict[str, Any] | Later:
        """Return how a migration of a server would go, or where that will be once the server is
        measured. Raises :class:`ClientError` if the API is older than that."""
        path = f"/servers/{_quoted(server_uuid)}/forecast"
        return self._or_later(path, "forecast", json.dumps(dict(asked)).encode())

    def follow(self, later: Later) -> dict[str, Any] | Later:
        """Return what was to be measured for, or when to look again."""
        return self._or_later(later.path, later.key)

    def drain_plan(self, host: str, query: Query) -> dict[str, Any]:
        """Return the plan of a host's drain. Raises :class:`ClientError` if the API is older than
        that."""
        path = f"/hosts/{_quoted(host)}/drain-plan"
        found = self._or_later(f"{path}?{parse.urlencode(query)}", "drain_plan")
        if isinstance(found, Later):
            raise ApiUnavailable(f"the answer to {path} is not the API's: it comes later")
        return found

    def measure_host(self, host: str, asked: Mapping[str, Any]) -> dict[str, Any] | Later:
        """Have all servers of a host measured; return where the plan of its drain will be."""
        path = f"/hosts/{_quoted(host)}/drain-plan"
        return self._or_later(path, "drain_plan", json.dumps({**asked, "measure": True}).encode())

    def _or_later(self, path: str, key: str, body: bytes | None = None) -> dict[str, Any] | Later:
        since, what = _LATER[key]
        self.check_microversion(since, what)
        answer, found = self._ask(path, body)
        # The answer has shown how old the API is.
        self.check_microversion(since, what)
        if answer.status_code == 202:
            # The rest of the address is the API's own, which may be another by way of a proxy.
            query = parse.urlsplit(answer.headers.get("Location", "")).query
            seconds = min(_seconds(answer.headers.get("Retry-After")), _MOST_PAUSE_SECONDS)
            return Later(f"{path}?{query}" if query else path, seconds, key)
        read: dict[str, Any] = self._read_document(path, key, answer, found)[key]
        return read

    def drain(self, host: str) -> dict[str, Any]:
        """Return what has yet to leave a host. Raises :class:`NotFound` if no agent of it is
        known."""
        try:
            path = f"/hosts/{_quoted(host)}/drain"
            found: dict[str, Any] = self._get(path, "drain")["drain"]
        except ApiRefused as error:
            if error.status == 404:
                raise NotFound(str(error)) from error
            raise
        return found


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isascii() and text.isdigit() else 1.0


def _quoted(part: str) -> str:
    return parse.quote(part, safe="")

# SPDX-License-Identifier: Apache-2.0
"""``/hosts/<host>/drain-plan``: which server moves when, and how that goes.

Nothing is stored: the address of a plan has what it was asked for, and when.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib import parse

import falcon

from migprog import exception, objects, policies
from migprog.api import bodies, plan_schemas, remaining, schemas, views
from migprog.api.access import Rules
from migprog.api.microversion import HOSTS_SINCE
from migprog.api.plan_documents import Shown, document
from migprog.api.plan_making import Asked, Known, find_begin, make
from migprog.api.resource import Resource
from migprog.core.drain_course import Departure
from migprog.core.drain_plan import MAX_SERVERS
from migprog.core.status import Status
from migprog.objects import completed_migrations

_RETRY_AFTER_SECONDS = "5"
# Measuring a server takes half a minute by default. What has not come by then will not come.
_MEASURED_EACH = timedelta(minutes=1)
_LATE = timedelta(minutes=5)
_INSTANTS = ("deadline", "made_at", "measured_after")


class DrainPlan(Resource):
    """The plan of a host's drain, and how the drain goes.

    It has no ETag, since it changes with time alone.
    """

    RULES: ClassVar[Rules] = {"GET": policies.hosts.SHOW_PLAN, "POST": policies.hosts.PLAN}
    NOTES: ClassVar[Mapping[str, str]] = {
        "destinations": "Names of hosts, separated by commas.",
        "made_at": "The drain begins with the first migration since; by default with the first of "
        "those that follow each other until now.",
        "measured_after": "Answer 202 until each server has been measured since.",
    }
    QUERY = staticmethod(plan_schemas.query)
    ANSWER = plan_schemas.ANSWER
    BODY = plan_schemas.BODY
    ANSWERS_POST = True
    ACCEPTED = "The servers are measured; see Location."

    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        asked = self._checked(req, host, self.query(req))
        if "destinations" in asked:
            asked["destinations"] = _names(asked["destinations"])
        self._answer(req, resp, host, asked)

    def on_post(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        """Plan the drain of a host, or have its servers measured for it."""
        asked = bodies.read(req, falcon.MEDIA_JSON)
        schemas.check_body(asked, plan_schemas.BODY)
        asked = self._checked(req, host, asked)
        measure = asked.pop("measure", False)
        asked["made_at"] = self.parts.clock()
        if not measure:
            self._answer(req, resp, host, asked)
            return
        req.context.access.check(policies.hosts.MEASURE)
        self.parts.measuring.ask_all(req.context.user, host)
        address = _address(req, host, asked | {"measured_after": asked["made_at"]})
        resp.set_header("Location", address)
        self._accept(resp)

    @staticmethod
    def _accept(resp: falcon.Response) -> None:
        resp.status = falcon.HTTP_ACCEPTED
        resp.set_header("Retry-After", _RETRY_AFTER_SECONDS)

    def _checked(self, req: falcon.Request, host: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is asked for, with instants."""
        self.check_since(req, HOSTS_SINCE)
        schemas.check_name("host", host)
        return {
            name: schemas.instant(value) if name in _INSTANTS else value
            for name, value in asked.items()
        }

    def _answer(
        self, req: falcon.Request, resp: falcon.Response, host: str, asked: Mapping[str, Any]
    ) -> None:
        store, now = self.parts.store, self.parts.clock()
        agent = objects.Agent.get(store, host)
        rows = objects.departures(store, host, MAX_SERVERS)
        departures = self._departures(rows, agent, now)
        want = _asked(asked)
        begun_at = find_begin(want, departures, now.timestamp())
        left = set[str]()
        if begun_at is not None:
            left = {each.server_uuid for each in departures if each.started_at >= begun_at}
        found = objects.host_servers(store, host, MAX_SERVERS + 1, left)
        running = {each.server_uuid for each in rows if each.in_progress}
        there = _there([each for each in found if each.host == host], agent, running)
        if agent is None and not there and not rows:
            raise exception.HostNotFound(host)
        if len(there) > MAX_SERVERS:
            raise exception.TooManyServers(
                f"A plan has at most {MAX_SERVERS} servers; {len(there)} or more are known on the "
                "host."
            )
        unknown = None
        if agent is not None and agent.servers is not None and not agent.is_silent(now):
            unknown = max(0, agent.servers - len(there))
        after = asked.get("measured_after")
        if after is not None and _is_awaited(there, running, unknown, after, now):
            self._accept(resp)
            return
        made_at = min(asked.get("made_at") or now, now)
        if "made_at" not in asked and begun_at is not None:
            made_at = datetime.fromtimestamp(begun_at, UTC)
        # What had completed when the drain began is before all that it has moved.
        most = completed_migrations.MOST + len(left)
        gone = [each for each in found if each.host != host and each.uuid in left]
        known = Known(
            host=host,
            servers=[*there, *gone],
            departures=departures,
            completed=objects.completed(store, host, most),
            now=now.timestamp(),
        )
        made = make(want, known)
        shown = Shown(
            host=host,
            made_at=made_at,
            now=now,
            servers={each.uuid: each for each in found},
            unknown_servers=unknown,
            link=_address(req, host, {**asked, "made_at": made_at}, but="measured_after"),
        )
        resp.media = {"drain_plan": document(made, want, shown)}

    def _departures(
        self, rows: Sequence[objects.DepartureRow], agent: objects.Agent | None, now: datetime
    ) -> list[Departure]:
        after_seconds = remaining.stale_after_seconds(agent, self.parts.stale_after_seconds)
        found = []
        for each in rows:
            left = None
            if each.in_progress:
                left = remaining.under_way(each, now, after_seconds).eta_seconds
            ended_at = None if each.in_progress else each.ended_at or each.sampled_at
            found.append(
                Departure(
                    each.server_uuid,
                    each.started_at.timestamp(),
                    None if ended_at is None else ended_at.timestamp(),
                    each.status is Status.COMPLETED,
                    left,
                )
            )
        return found


def _there(
    servers: list[objects.HostServer], agent: objects.Agent | None, running: set[str]
) -> list[objects.HostServer]:
    """Return the servers that are on the host. Of more than run there by its agent's count, some
    were deleted or moved by other means: those that were seen last count."""
    if agent is None or agent.servers is None or agent.servers >= len(servers):
        return servers
    newest = sorted(servers, key=lambda each: (each.uuid in running, each.seen_at), reverse=True)
    return sorted(newest[: agent.servers], key=lambda each: each.uuid)


def _is_awaited(
    servers: Sequence[objects.HostServer],
    running: set[str],
    unknown: int | None,
    after: datetime,
    now: datetime,
) -> bool:
    """Return whether a measurement has yet to come that was requested at ``after``: of one of the
    ``servers``, or of the ``unknown`` others; None: an agent that has just started has not counted
    them yet."""
    if now - after > _LATE + _MEASURED_EACH * (len(servers) + (unknown or 0)):
        return False
    return unknown != 0 or any(
        not any(found.last_reported_at >= after for found in each.measurements)
        for each in servers
        if each.uuid not in running
    )


def _asked(asked: Mapping[str, Any]) -> Asked:
    made_at: datetime | None = asked.get("made_at")
    return Asked(
        destinations=tuple(asked.get("destinations") or ()),
        at_once=asked.get("at_once") and int(asked["at_once"]),
        network_bytes_per_second=asked.get("network_bytes_per_second"),
        downtime_limit_seconds=asked.get("downtime_limit_seconds"),
        deadline=asked.get("deadline"),
        block_migration=bool(asked.get("block_migration")),
        auto_converge=bool(asked.get("auto_converge")),
        made_at=None if made_at is None else made_at.timestamp(),
    )


def _names(text: str) -> list[str]:
    """Return the names of a list in an address. Raises :class:`exception.BadRequest`."""
    names = text.split(",")
    if not schemas.is_valid(names, plan_schemas.BODY["properties"]["destinations"]):
        rule = schemas.rule(plan_schemas.BODY["properties"]["destinations"])
        raise schemas.BadValue("destinations", text, rule)
    return names


def _address(req: falcon.Request, host: str, asked: Mapping[str, Any], but: str = "") -> str:
    """Return the address of a plan that is asked for like that."""
    query = {name: _text(value) for name, value in asked.items() if name != but}
    path = f"/hosts/{parse.quote(host, safe='')}/drain-plan"
    return f"{req.prefix}{path}?{parse.urlencode(query)}"


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return views.instant(value.astimezone(UTC)) or ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)

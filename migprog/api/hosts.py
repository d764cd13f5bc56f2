# SPDX-License-Identifier: Apache-2.0
"""``/hosts/<host>``: which migrations touch a host, and whether its services may be restarted.
``/hosts/<host>/drain``: which servers still run there, and when it will be empty."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib import parse

import falcon

from migprog import exception, objects, policies
from migprog.api import remaining, response_schemas, schemas, views
from migprog.api.access import Rules
from migprog.api.microversion import HOSTS_SINCE
from migprog.api.resource import Resource
from migprog.core import drain, may_restart
from migprog.core.status import Status

# More than can complete from one host within the hour that counts.
_MOST_COMPLETED = 200


class Host(Resource):
    """Which migrations touch a host, by either end, when the last of them ends, and whether its
    services may be restarted now. It has no ETag, since it changes with time alone."""

    RULES: ClassVar[Rules] = {"GET": policies.hosts.SHOW}
    ANSWER = response_schemas.HOST

    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        self.query(req)
        self.check_since(req, HOSTS_SINCE)
        schemas.check_name("host", host)
        store, now = self.parts.store, self.parts.clock()
        agent = objects.Agent.get(store, host)
        touching = objects.Migration.list(
            store, host=host, in_progress=True, limit=self.parts.max_limit
        )
        if agent is None and not touching:
            raise exception.HostNotFound(host)
        after_seconds = remaining.stale_after_seconds(agent, self.parts.stale_after_seconds)
        leaving = sum(each.source_compute == host for each in touching)
        here = f"{req.prefix}/hosts/{parse.quote(host, safe='')}"
        resp.media = {
            "host": {
                "host": host,
                "servers": agent and agent.servers,
                "servers_memory_bytes": agent and agent.servers_memory_bytes,
                "last_reported_at": views.instant(agent.last_reported_at) if agent else None,
                "silent": agent is None or agent.is_silent(now),
                "restart": _restart(agent, touching, now),
                "leaving": leaving,
                "arriving": len(touching) - leaving,
                **_last_end(touching, now, after_seconds),
                "migrations": _documents(req, touching, now, after_seconds),
                "links": [
                    views.link("self", here),
                    views.link("drain", f"{here}/drain"),
                    views.link("drain-plan", f"{here}/drain-plan"),
                ],
            }
        }


def _restart(
    agent: objects.Agent | None, touching: Sequence[objects.Migration], now: datetime
) -> dict[str, Any]:
    found = may_restart.judge(
        has_agent=agent is not None,
        is_silent=agent is not None and agent.is_silent(now),
        migrations=len(touching),
        in_post_copy=sum(each.status is Status.POST_COPY for each in touching),
    )
    return {name: getattr(found, name) for name in may_restart.Restart.__slots__}


def _last_end(
    touching: Sequence[objects.Migration], now: datetime, after_seconds: float
) -> dict[str, Any]:
    """Return when the last of these migrations ends, from now on and as an instant."""
    found = drain.latest([remaining.under_way(each, now, after_seconds) for each in touching])
    seconds = dict(zip(("", "low_", "high_"), found or (None, None, None), strict=True))
    names = {"": "", "_earliest": "low_", "_latest": "high_"}
    document: dict[str, Any] = {
        f"last_ends_{name}seconds": views.to_tenths(value) for name, value in seconds.items()
    }
    for name, of in names.items():
        value = seconds[of]
        at = None if value is None else now + timedelta(seconds=value)
        document[f"last_ends_at{name}"] = views.instant(at)
    return document


class Drain(Resource):
    """What has yet to leave a host. It has no ETag, since it changes with time alone."""

    RULES: ClassVar[Rules] = {"GET": policies.hosts.DRAIN}
    ANSWER = response_schemas.DRAIN

    def on_get(self, req: falcon.Request, resp: falcon.Response, host: str) -> None:
        self.query(req)
        schemas.check_name("host", host)
        store, now = self.parts.store, self.parts.clock()
        agent = objects.Agent.get(store, host)
        off = objects.Migration.list(
            store, source_compute=host, in_progress=True, limit=self.parts.max_limit
        )
        if agent is None and not off:
            raise exception.HostNotFound(host)
        completed = objects.Migration.list(
            store, source_compute=host, status=Status.COMPLETED, limit=_MOST_COMPLETED
        )
        transfer_rate = drain.measure_rate(
            [_completed(each) for each in completed], now.timestamp()
        )
        after_seconds = remaining.stale_after_seconds(agent, self.parts.stale_after_seconds)
        forecast = _forecast(agent, off, transfer_rate, now, after_seconds)
        resp.media = {
            "drain": views.drain(host, agent, now, transfer_rate, forecast, req.context.version)
            | {"migrations": _documents(req, off, now, after_seconds)}
        }


def _documents(
    req: falcon.Request,
    migrations: Sequence[objects.Migration],
    now: datetime,
    after_seconds: float,
) -> list[dict[str, Any]]:
    return [
        views.migration(each, req.prefix, now, after_seconds, True, req.context.version)
        for each in migrations
    ]


def _forecast(
    agent: objects.Agent | None,
    off: Sequence[objects.Migration],
    transfer_rate: drain.TransferRate | None,
    now: datetime,
    after_seconds: float,
) -> drain.Forecast:
    if agent is None or agent.is_silent(now):
        message = "the agent of the host is silent"
        return drain.Forecast(drain.EtaReason.AGENT_SILENT, message)
    return drain.forecast(
        agent.servers,
        agent.servers_memory_bytes,
        [remaining.under_way(each, now, after_seconds) for each in off],
        transfer_rate,
    )


def _completed(migration: objects.Migration) -> drain.Completed:
    ended_at = migration.ended_at or migration.sampled_at
    return drain.Completed(
        migration.started_at.timestamp(), ended_at.timestamp(), migration.memory_total_bytes
    )

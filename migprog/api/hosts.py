# SPDX-License-Identifier: Apache-2.0
"""``/hosts/<host>/drain``: which servers migrate from a host, which still run there, and when it
will be empty."""

import dataclasses
from datetime import datetime
from typing import ClassVar

import falcon

from migprog import exception, objects, policies
from migprog.api import response_schemas, schemas, views
from migprog.api.access import Rules
from migprog.api.resource import Resource
from migprog.core import drain, liveness
from migprog.core.status import Status

# More than can complete from one host within the hour that counts.
_MOST_COMPLETED = 200


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
            raise exception.HostNotFound(f"no agent of host {host[:64]!r} is known")
        completed = objects.Migration.list(
            store, source_compute=host, status=Status.COMPLETED, limit=_MOST_COMPLETED
        )
        transfer_rate = drain.measure_rate(
            [_completed(each) for each in completed], now.timestamp()
        )
        stale_after_seconds = self._stale_after_seconds(agent)
        forecast = self._forecast(agent, off, transfer_rate, now)
        resp.media = {
            "drain": views.drain(host, agent, now, transfer_rate, forecast)
            | {
                "migrations": [
                    views.migration(
                        each, req.prefix, now, stale_after_seconds, True, req.context.version
                    )
                    for each in off
                ]
            }
        }

    def _forecast(
        self,
        agent: objects.Agent | None,
        off: list[objects.Migration],
        transfer_rate: drain.TransferRate | None,
        now: datetime,
    ) -> drain.Forecast:
        if agent is None or agent.is_silent(now):
            return drain.Forecast("the agent of the host is silent")
        return drain.forecast(
            agent.servers,
            agent.servers_memory_bytes,
            [self._under_way(each, now, self._stale_after_seconds(agent)) for each in off],
            transfer_rate,
        )

    def _stale_after_seconds(self, agent: objects.Agent | None) -> float:
        """Return when a migration is stale; agents with long heartbeat intervals need longer."""
        after_seconds = self.parts.stale_after_seconds
        if agent is None:
            return after_seconds
        silent_after = liveness.silent_after(agent.heartbeat_seconds)
        return max(after_seconds, silent_after.total_seconds())

    def _under_way(
        self, migration: objects.Migration, now: datetime, stale_after_seconds: float
    ) -> drain.UnderWay:
        """Return a migration with its remaining time from now on, unknown if it is stale."""
        is_stale = views.is_stale(
            migration.in_progress, migration.last_reported_at, now, stale_after_seconds
        )
        under_way = drain.UnderWay(
            server_uuid=migration.server_uuid,
            verdict=migration.verdict,
            memory_bytes=migration.memory_total_bytes,
            percent=migration.percent,
        )
        if is_stale:
            return under_way
        under_way = dataclasses.replace(
            under_way,
            eta_seconds=migration.eta_seconds,
            eta_low_seconds=migration.eta_low_seconds,
            eta_high_seconds=migration.eta_high_seconds,
        )
        return under_way.after((now - migration.sampled_at).total_seconds())


def _completed(migration: objects.Migration) -> drain.Completed:
    ended_at = migration.ended_at or migration.sampled_at
    return drain.Completed(
        migration.started_at.timestamp(), ended_at.timestamp(), migration.memory_total_bytes
    )

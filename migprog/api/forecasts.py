# SPDX-License-Identifier: Apache-2.0
"""``/servers/<uuid>/forecast``: how a migration of a server would go that has not begun."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib import parse

import falcon

from migprog import exception, objects, policies
from migprog.api import bodies, measuring, response_schemas, schemas, views
from migprog.api.access import Rules
from migprog.api.microversion import FORECAST_SINCE
from migprog.api.resource import Resource
from migprog.core import learned as learned_
from migprog.core import measurement as measurement_
from migprog.core.credible_measurements import Place, credible, host_of
from migprog.core.forecast.before import Before, forecast_before
from migprog.core.learned import Rate
from migprog.core.measurement import Failure, Window

# A measurement that was requested so long ago, and has not come, will not come: an agent lets a
# bounded number of servers wait for their turn.
_LATE = timedelta(minutes=15)
_RETRY_AFTER_SECONDS = "2"
_YES_OR_NO = ("block_migration", "auto_converge")


@dataclass(frozen=True, slots=True)
class _Server(objects.MeasuredServer):
    """What is known of a server: its host, and its credible measurements, the newest first."""

    uuid: str
    host: str | None
    measurements: Sequence[objects.Measurement]


class Forecast(Resource):
    """How a migration of a server would go that has not begun, by its newest measurement.

    It has no ETag, since it changes with time alone.
    """

    RULES: ClassVar[Rules] = {
        "GET": policies.servers.SHOW_FORECAST,
        "POST": policies.servers.FORECAST,
    }
    NOTES: ClassVar[Mapping[str, str]] = {
        "measured_after": "Answer 202 until a measurement has come that was reported later.",
    }
    QUERY = staticmethod(schemas.forecast)
    ANSWER = response_schemas.FORECAST
    BODY = schemas.FORECAST_BODY
    ANSWERS_POST = True
    ACCEPTED = "The server is measured; see Location."

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_uuid: str) -> None:
        asked = self.query(req)
        server = self._find(req, server_uuid, asked)
        after = asked.get("measured_after")
        if after is not None and not self._is_there(server, schemas.instant(after)):
            resp.status = falcon.HTTP_ACCEPTED
            resp.set_header("Retry-After", _RETRY_AFTER_SECONDS)
            return
        resp.media = self._document(req, server, asked)

    def on_post(self, req: falcon.Request, resp: falcon.Response, server_uuid: str) -> None:
        """Forecast a migration of the server, or have the server measured for it."""
        asked = bodies.read(req, falcon.MEDIA_JSON)
        schemas.check_body(asked, schemas.FORECAST_BODY)
        server = self._find(req, server_uuid, asked)
        if not asked.get("measure"):
            resp.media = self._document(req, server, asked)
            return
        req.context.access.check(policies.servers.MEASURE)
        if server.host is None:
            raise exception.ServerNotFound(_UNKNOWN_HOST)
        now = self.parts.clock()
        self.parts.measuring.ask(req.context.user, server.host, server.uuid)
        resp.status = falcon.HTTP_ACCEPTED
        query = {name: asked[name] for name in ("host", "dest_compute") if name in asked}
        query |= {name: str(asked[name]).lower() for name in _YES_OR_NO if name in asked}
        query["measured_after"] = views.instant(now)
        path = f"/servers/{server.uuid}/forecast?{parse.urlencode(query)}"
        resp.set_header("Location", f"{req.prefix}{path}")
        resp.set_header("Retry-After", _RETRY_AFTER_SECONDS)

    def _find(self, req: falcon.Request, server_uuid: str, asked: Mapping[str, Any]) -> _Server:
        """Return what is known of a server. Raises :class:`exception.ServerNotFound`."""
        self.check_since(req, FORECAST_SINCE)
        access, store = req.context.access, self.parts.store
        if "host" in asked or "dest_compute" in asked:
            access.check(policies.migrations.HOSTS)
        try:
            wanted = str(uuid.UUID(server_uuid))
        except ValueError:
            raise exception.ServerNotFound(_UNKNOWN) from None
        migration = next(iter(objects.Migration.list(store, server_uuid=wanted, limit=1)), None)
        measured = objects.Measurement.of_server(store, wanted)
        place = None if migration is None else _place(migration)
        if "host" in asked:
            found = [each for each in measured if each.host == asked["host"]]
        else:
            found = credible(measured, place)
        project = access.only_project()
        if project is not None and project != _project(migration, found):
            raise exception.ServerNotFound(_UNKNOWN)
        host = asked.get("host") or host_of(found, place)
        if migration is None and not measured and "host" not in asked:
            raise exception.ServerNotFound(_UNKNOWN)
        return _Server(wanted, host, found)

    def _is_there(self, server: _Server, after: datetime) -> bool:
        """Return whether a measurement has been reported since. Raises
        :class:`exception.NotMeasurable` if it failed, or is late."""
        newest = next(iter(server.measurements), None)
        if newest is not None and newest.last_reported_at >= after:
            if newest.failure is not None:
                raise measuring.failed(newest.failure)
            return True
        if self.parts.clock() - after > _LATE:
            raise measuring.failed(Failure.TIMED_OUT)
        return False

    def _document(
        self, req: falcon.Request, server: _Server, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        measurement = server.measurement
        if measurement is None or (measured := _together(server)) is None:
            why = (
                f"; the latest attempt failed: {server.failure.failure.message}"
                if (server.failure and server.failure.failure)
                else ""
            )
            raise exception.NotMeasured(
                f"No measurement of the server is known{why}: have it measured first."
            )
        now = self.parts.clock().timestamp()
        source = server.host or measurement.host
        rows = objects.completed(self.parts.store, source)
        learned = learned_.learn(rows, source, asked.get("dest_compute"), now)
        how = {name: bool(asked.get(name)) for name in _YES_OR_NO}
        before = forecast_before(measured, learned, now=now, **how)
        shows_hosts = req.context.access.may(policies.migrations.HOSTS)
        return {
            "forecast": {
                "server_uuid": server.uuid,
                "server_name": measurement.server_name,
                "host": source if shows_hosts else None,
                "dest_compute": asked.get("dest_compute"),
                **how,
                **_said(before),
                "measurement": _measurement(measurement, measured.windows),
                "transfer_rate": rate_document(learned.rate),
                "failure": _failure(server.failure),
                "links": [
                    views.link("self", f"{req.prefix}/servers/{server.uuid}/forecast"),
                ],
            }
        }


def _place(migration: objects.Migration) -> Place:
    return Place.of(
        migration.status, migration.source_compute, migration.dest_compute, migration.started_at
    )


def _project(
    migration: objects.Migration | None, measured: list[objects.Measurement]
) -> str | None:
    """Return the project of a server: its migrations' word comes first."""
    if migration is not None:
        return migration.project_id
    return measured[0].project_id if measured else None


def _said(before: Before) -> dict[str, Any]:
    needed = before.bandwidth_needed_bytes_per_second
    return {
        "converges": before.converges,
        "message": before.message,
        "total_seconds": views.to_tenths(before.total_seconds),
        "low_seconds": views.to_tenths(before.low_seconds),
        "high_seconds": views.to_tenths(before.high_seconds),
        "downtime_needed_seconds": views.to_milliseconds(before.downtime_needed_seconds),
        "bandwidth_needed_bytes_per_second": None if needed is None else round(needed),
        "helps": list(before.helps),
    }


def _together(server: _Server) -> measurement_.Measurement | None:
    """Return the newest measurement with those made shortly before; None if there is none."""
    measured = [each.for_forecast() for each in server.measurements]
    found = [each for each in measured if each is not None]
    return measurement_.newest(found) if found else None


def _measurement(measured: objects.Measurement, windows: tuple[Window, ...]) -> dict[str, Any]:
    return {
        "measured_at": views.instant(measured.measured_at),
        "windows": [
            {"seconds": each.seconds, "dirty_bytes_per_second": each.dirty_mib_per_second * 2**20}
            for each in windows
        ],
        "memory_bytes": measured.memory_bytes,
        "resident_bytes": measured.resident_bytes,
        "disk_bytes": measured.disk_bytes,
        "downtime_limit_seconds": views.to_milliseconds(measured.downtime_limit_seconds),
    }


def rate_document(rate: Rate) -> dict[str, Any]:
    """Return a transfer rate, and what it rests on."""
    return {
        "bytes_per_second": round(rate.bytes_per_second),
        "low_bytes_per_second": round(rate.low_bytes_per_second),
        "high_bytes_per_second": round(rate.high_bytes_per_second),
        "migrations": rate.count,
        "source": rate.source,
        "newest_at": views.instant_of(rate.newest_at),
    }


def _failure(failed: objects.Measurement | None) -> dict[str, Any] | None:
    if failed is None or failed.failure is None:
        return None
    return {
        "at": views.instant(failed.measured_at),
        "reason": failed.failure.value,
        "message": failed.failure.message,
    }


_UNKNOWN = (
    "Neither a migration nor a measurement of this server is known: name its host, and have it "
    "measured."
)
_UNKNOWN_HOST = "It is not known which host the server is on: name it as host."

# SPDX-License-Identifier: Apache-2.0
"""Documents of the native API. Pure: values in, dictionaries out.

All keys of a microversion are always there; null means unknown. Instants are RFC 3339 in UTC, with
microseconds.
"""

import dataclasses
import operator
from datetime import datetime, timedelta
from typing import Any

from microversion_parse import Version

from migprog.api.microversion import (
    ETA_MESSAGE,
    MEASUREMENTS_SINCE,
    SINCE,
    SUMMARY_SINCE,
    WHO_ASKED,
)
from migprog.core import drain as drain_core
from migprog.core import liveness
from migprog.core.advice_entry import AdviceEntry
from migprog.core.forecast import calibration
from migprog.core.forecast.before_check import BeforeCheck
from migprog.core.instant import from_epoch, rfc3339
from migprog.core.operator_actions import WHO, OperatorAction
from migprog.core.steering import hindsight
from migprog.core.steering.hindsight import Hindsight
from migprog.objects import Agent, Migration, Point, Server
from migprog.objects.migration import INSTANTS

# Fields of a migration that are shown as stored: all but those that are shown in another form.
AS_STORED = (
    *(
        name
        for name in Migration.__slots__
        if name
        not in {
            *("nova_record", "disks", "advice", "actions", "forecast_before"),
            *INSTANTS,
            *calibration.FIELDS,
        }
    ),
    "in_progress",
)
_as_stored = operator.attrgetter(*AS_STORED)
_instants = operator.attrgetter(*INSTANTS)
# Fields that identify hosts; an error is libvirt's own text, which may name the other host.
OF_HOSTS = ("source_compute", "source_node", "dest_compute", "dest_node", "dest_host", "error")
# A year: what an agent sends is bounded, but may be anything.
_LONGEST_SECONDS = 366 * 86_400
# Forecasts of the end by the conductor's clock, and the time left that each follows from.
ENDS = {
    "ends_at": "eta_seconds",
    "ends_at_earliest": "eta_low_seconds",
    "ends_at_latest": "eta_high_seconds",
}
# libvirt's resolution is a millisecond.
_MEASURED = (
    "downtime_needed_seconds",
    "downtime_limit_seconds",
    "total_seconds",
    "downtime_seconds",
)

# Of the advice of a migration that has not ended.
_NOT_KNOWN = Hindsight(None, None)


def migration(
    migration: Migration,
    base: str,
    now: datetime,
    stale_after_seconds: float,
    hosts: bool,
    version: Version,
) -> dict[str, Any]:
    """Return a migration. ``base``: the API's root URL, without a slash at its end; ``hosts``:
    whether hosts may be seen, and who asked for actions; ``version``: the microversion to answer
    in."""
    document: dict[str, Any] = dict(zip(AS_STORED, _as_stored(migration), strict=True))
    if not hosts:
        document |= dict.fromkeys(OF_HOSTS)
    for name in _MEASURED:
        document[name] = to_milliseconds(document[name])
    document |= {name: _ends_at(migration, eta) for name, eta in ENDS.items()}
    for name, at in zip(INSTANTS, _instants(migration), strict=True):
        document[name] = None if at is None else rfc3339(at)
    document["disks"] = migration.disks and [_disk(*disk) for disk in migration.disks]
    document["advice"] = None if migration.advice is None else _all_advice(migration)
    document["actions"] = migration.actions and [
        _action(migration, each, hosts) for each in migration.actions
    ]
    document["forecast_before"] = migration.forecast_before and _before(
        migration.forecast_before, migration.total_seconds
    )
    document["stale"] = is_stale(
        migration.in_progress, migration.last_reported_at, now, stale_after_seconds
    )
    document["calibration"] = [_check(each) for each in calibration.from_fields(migration)]
    here = f"{base}/servers/{migration.server_uuid}/migrations/{migration.uuid}"
    document["links"] = [
        link("self", here),
        link("history", f"{here}/history"),
        *([link("summary", f"{here}/summary")] if version >= SUMMARY_SINCE else ()),
        link("server", f"{base}/servers/{migration.server_uuid}"),
    ]
    for key, since in SINCE.items():
        if version < since:
            del document[key]
    return document


def point(point: Point) -> dict[str, Any]:
    """Return a point of a migration's history."""
    return dataclasses.asdict(point) | {"sampled_at": instant(point.sampled_at)}


def agent(agent: Agent, now: datetime, version: Version) -> dict[str, Any]:
    """Return an agent; it is silent after two missed heartbeats, or while its loop hangs."""
    document = dataclasses.asdict(agent)
    if version < WHO_ASKED:
        del document["loop_age_seconds"]
    document |= {name: instant(getattr(agent, name)) for name in ("started_at", "last_reported_at")}
    document["silent"] = agent.is_silent(now)
    if version < MEASUREMENTS_SINCE:
        del document["measurements_enabled"]
    return document


def drain(
    host: str,
    agent: Agent | None,
    now: datetime,
    transfer_rate: drain_core.TransferRate | None,
    forecast: drain_core.Forecast,
    version: Version,
) -> dict[str, Any]:
    """Return the drain of a host, without its migrations. The agent's values are of its last
    heartbeat. Before 1.3 ``eta_reason`` is the sentence."""
    reasons = {"eta_reason": forecast.eta_message}
    if version >= ETA_MESSAGE:
        reasons = {"eta_reason": forecast.eta_reason, "eta_message": forecast.eta_message}
    return {
        "host": host,
        "servers": agent and agent.servers,
        "servers_memory_bytes": agent and agent.servers_memory_bytes,
        "last_reported_at": instant(agent.last_reported_at) if agent else None,
        "silent": agent is None or agent.is_silent(now),
        **{
            name: None if seconds is None else round(seconds, 1)
            for name, seconds in dataclasses.asdict(forecast).items()
            if name not in ("eta_reason", "eta_message")
        },
        **reasons,
        "transfer_rate": transfer_rate and dataclasses.asdict(transfer_rate),
    }


def server(server: Server, base: str, hosts: bool) -> dict[str, Any]:
    """Return a server. ``progress`` and ``sampled_at`` are of its newest migration; ``hosts``:
    whether hosts may be seen."""
    here = f"{base}/servers/{server.uuid}"
    return {
        "id": server.uuid,
        "uuid": server.uuid,
        "name": server.name,
        "project_id": server.project_id,
        "user_id": server.user_id,
        "host": server.host if hosts else None,
        "progress": server.progress,
        "sampled_at": instant(server.sampled_at),
        "migration_uuid": server.migration_uuid,
        "links": [
            link("self", here),
            link("migration", f"{here}/migrations/{server.migration_uuid}"),
            link("migrations", f"{here}/migrations"),
        ],
    }


def next_page(address: str) -> list[dict[str, str]]:
    """Return the links of a list that continues at ``address``."""
    return [link("next", address)]


def version(number: str, address: str, oldest: Version, newest: Version) -> dict[str, Any]:
    """Return the native API's entry in the list of versions."""
    return {
        "id": number,
        "status": "CURRENT",
        "min_version": str(oldest),
        "max_version": str(newest),
        "links": [link("self", address)],
    }


def is_stale(
    in_progress: bool, last_reported_at: datetime, now: datetime, stale_after_seconds: float
) -> bool:
    """Return whether a migration in progress has had no report for too long."""
    if not in_progress:
        return False
    return liveness.is_old(last_reported_at, now, timedelta(seconds=stale_after_seconds))


def instant(at: datetime | None) -> str | None:
    """Return an instant such as ``2016-01-29T13:42:02.000000Z``."""
    return None if at is None else rfc3339(at)


def _disk(name: str, total_bytes: int, processed_bytes: int) -> dict[str, Any]:
    return {
        "name": name,
        "total_bytes": total_bytes,
        "processed_bytes": processed_bytes,
        "remaining_bytes": max(0, total_bytes - processed_bytes),
    }


def _before(check: BeforeCheck, total_seconds: float | None) -> dict[str, Any]:
    """Return what was forecast before the start, rounded as other forecasts."""
    error_seconds = check.error_seconds(total_seconds)
    return {
        "measured_at": instant_of(check.measured_at),
        "converges": check.converges,
        "total_seconds": to_tenths(check.total_seconds),
        "low_seconds": to_tenths(check.low_seconds),
        "high_seconds": to_tenths(check.high_seconds),
        "error_seconds": to_tenths(error_seconds),
        "outcome": check.outcome.value,
    }


def to_tenths(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _all_advice(migration: Migration) -> list[dict[str, Any]]:
    advice = migration.advice or ()
    if migration.ended_at is None:
        return [_advice(each, _NOT_KNOWN) for each in advice]
    end = hindsight.End(
        *(migration.status, migration.ended_at.timestamp(), migration.downtime_limit_seconds)
    )
    scored = zip(advice, hindsight.look_back(advice, end), strict=True)
    return [_advice(each, score) for each, score in scored]


def _advice(advice: AdviceEntry, score: Hindsight) -> dict[str, Any]:
    return {
        "at": instant_of(advice["at"]),
        "action": advice["action"],
        "reason": advice["reason"],
        "message": advice["message"],
        "figures": advice["figures"],
        "works_by": instant_of(advice["works_by"]),
        "state": advice["state"],
        "score": score.score,
        "score_message": score.message,
    }


def _action(migration: Migration, action: OperatorAction, names: bool) -> dict[str, Any]:
    """Return an operator's action; ``names``: whether it may be seen who that was."""
    at = migration.started_at + timedelta(seconds=min(action["after_seconds"], _LONGEST_SECONDS))
    return {
        "at": rfc3339(at),
        "action": action["action"],
        "state": action["state"],
        **{name: action[name] if names else None for name in WHO},  # type: ignore[literal-required]
    }


def instant_of(epoch_seconds: float | None) -> str | None:
    return None if epoch_seconds is None else rfc3339(from_epoch(epoch_seconds))


def _ends_at(migration: Migration, eta: str) -> str | None:
    """Return a forecast of the end, which stays the same while the time left is right."""
    seconds = getattr(migration, eta)
    return None if seconds is None else instant(migration.sampled_at + timedelta(seconds=seconds))


def _check(check: calibration.ForecastCheck) -> dict[str, Any]:
    """Return a forecast check, rounded to the tenth of a second that its precision justifies."""
    return {
        "at_percent": check.at_percent,
        "eta_seconds": to_tenths(check.eta_seconds),
        "error_seconds": to_tenths(check.error_seconds),
        "in_range": check.in_range,
    }


def to_milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href}

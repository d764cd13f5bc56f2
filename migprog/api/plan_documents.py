# SPDX-License-Identifier: Apache-2.0
"""The document of a drain's plan. Pure: values in, dictionaries out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from migprog import objects
from migprog.api import views
from migprog.api.forecasts import rate_document
from migprog.api.plan_making import Asked, Made
from migprog.core import drain_words
from migprog.core.drain_plan import Plan, Stay, deadline_met
from migprog.core.drain_words import Missing
from migprog.core.forecast.before import Before

# No instant is later than that.
_LONGEST_SECONDS = 10 * 365 * 86400.0
NOT_MEASURED, ARRIVED_SINCE = "not-measured", "arrived-since"
PLANNED, RUNNING, DONE = "planned", "running", "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is shown beside the plan. ``unknown_servers``: how many more run there by the agent's
    count; None if that is not known."""

    host: str
    made_at: datetime
    now: datetime
    servers: Mapping[str, objects.HostServer]
    unknown_servers: int | None
    link: str


def document(made: Made, asked: Asked, shown: Shown) -> dict[str, Any]:
    unplanned = _unplanned(made, shown)
    missing = Missing(len(unplanned) + (shown.unknown_servers or 0), shown.unknown_servers is None)
    present = replace(made.present, high_end_seconds=None) if missing else made.present
    begun_at = shown.now
    if made.standing is not None:
        begun_at = _at(shown.now, made.standing.begun_at)
    names = {uuid: each.name for uuid, each in shown.servers.items()}
    destinations = _destinations(made, asked.destinations)
    return {
        "host": shown.host,
        "made_at": views.instant(shown.made_at),
        "begun_at": None if made.standing is None else views.instant(begun_at),
        "state": _state(made),
        "message": _message(made, present, missing),
        **_echo(asked),
        "most_at_once": made.plan.at_once,
        **_end(present, begun_at),
        "planned_seconds": _tenths(made.plan.end_seconds),
        "late_seconds": _tenths(made.late_seconds),
        "in_time": _in_time(present, asked.deadline, begun_at),
        "usual_seconds": views.to_tenths(made.plan.usual_end_seconds),
        "gain_percent": _percent(made.plan.gain),
        "transfer_rate": rate_document(made.rate),
        "moves": [
            move | {"dest_compute": dest}
            for move, dest in zip(_moves(made, names), destinations, strict=True)
        ],
        "stays": [_stay(each, made, names) for each in made.plan.stays],
        "unplanned": unplanned,
        "unknown_servers": shown.unknown_servers,
        "links": [views.link("self", shown.link)],
    }


def _echo(asked: Asked) -> dict[str, Any]:
    """Return what was asked for."""
    network = asked.network_bytes_per_second
    return {
        "destinations": list(asked.destinations),
        "at_once": asked.at_once,
        "network_bytes_per_second": None if network is None else round(network),
        "downtime_limit_seconds": views.to_milliseconds(asked.downtime_limit_seconds),
        "deadline": views.instant(asked.deadline),
        "block_migration": asked.block_migration,
        "auto_converge": asked.auto_converge,
    }


def _state(made: Made) -> str:
    if made.standing is None:
        return PLANNED
    return RUNNING if made.present.moves or made.standing.running else DONE


def _message(made: Made, present: Plan, missing: Missing) -> str:
    stands = made.standing
    if stands is None:
        return drain_words.planned(present, missing)
    late = made.late_seconds if made.plan.moves else None
    late = late if late is not None and math.isfinite(late) else None
    return drain_words.followed(present, len(stands.done), len(stands.running), late, missing)


def _end(plan: Plan, begun_at: datetime) -> dict[str, Any]:
    """Return how long it takes from its begin, and when it ends."""
    seconds = {"total": plan.end_seconds, "low": plan.low_end_seconds}
    if plan.high_end_seconds is not None:
        seconds["high"] = plan.high_end_seconds
    if not math.isfinite(plan.end_seconds):
        seconds = {}
    ends = {"ends_at": "total", "ends_at_earliest": "low", "ends_at_latest": "high"}
    return {f"{name}_seconds": _tenths(seconds.get(name)) for name in ends.values()} | {
        name: _instant(begun_at, seconds.get(of)) for name, of in ends.items()
    }


def _in_time(plan: Plan, deadline: datetime | None, begun_at: datetime) -> str | None:
    if deadline is None:
        return None
    if not math.isfinite(plan.end_seconds):
        return "unknown"
    return deadline_met(plan, (deadline - begun_at).total_seconds())


def _moves(made: Made, names: Mapping[str, str | None]) -> list[dict[str, Any]]:
    """Return the servers in their order, with when each moves since the begin."""
    present = {each.server_uuid: each for each in made.present.moves}
    stands = made.standing
    found = []
    for move in made.plan.moves:
        uuid = move.server_uuid
        now = present.get(uuid, move)
        starts, ends = now.starts_seconds, now.ends_seconds
        if stands is not None:
            starts, ends = stands.started.get(uuid, starts), stands.done.get(uuid, ends)
        found.append(
            {
                "server_uuid": uuid,
                "server_name": names.get(uuid),
                "state": _state_of(uuid, made, "waiting"),
                "beside": move.beside,
                "starts_seconds": _tenths(starts),
                "ends_seconds": _tenths(ends),
                **_forecast(made.befores[uuid]),
            }
        )
    return found


def _state_of(uuid: str, made: Made, otherwise: str) -> str:
    stands = made.standing
    if stands is None:
        return otherwise
    if uuid in stands.done:
        return "done"
    if uuid in stands.running:
        return "running"
    if uuid in made.gone:
        return "gone"
    return "failed" if uuid in stands.failed else otherwise


def _stay(stay: Stay, made: Made, names: Mapping[str, str | None]) -> dict[str, Any]:
    needed = stay.bandwidth_needed_bytes_per_second
    return {
        "server_uuid": stay.server_uuid,
        "server_name": names.get(stay.server_uuid),
        "state": _state_of(stay.server_uuid, made, "stays"),
        "downtime_needed_seconds": views.to_milliseconds(stay.downtime_needed_seconds),
        "bandwidth_needed_bytes_per_second": None if needed is None else round(needed),
        **_forecast(made.befores[stay.server_uuid]),
    }


def _forecast(before: Before) -> dict[str, Any]:
    """Return the forecast of a server that migrates alone, and when it was measured."""
    return {
        "converges": before.converges,
        "message": before.message,
        "helps": list(before.helps),
        "alone_seconds": views.to_tenths(before.total_seconds),
        "alone_low_seconds": views.to_tenths(before.low_seconds),
        "alone_high_seconds": views.to_tenths(before.high_seconds),
        "measured_at": views.instant_of(before.basis.measured_at),
    }


def _unplanned(made: Made, shown: Shown) -> list[dict[str, Any]]:
    """Return the servers of which nothing is planned, and why."""
    found = []
    stands = made.standing
    over = set() if stands is None else {*stands.done, *stands.running}
    for uuid in made.unmeasured:
        server = shown.servers[uuid]
        failed = None if server.failure is None else server.failure.failure
        if uuid in over or server.host != shown.host:
            continue
        found.append(
            _why(server, NOT_MEASURED, "the server was not measured")
            if failed is None
            else _why(server, failed.value, f"the server was not measured: {failed.message}")
        )
    for uuid in made.arrived:
        if uuid not in over:
            message = "the server arrived after the drain had begun: make a new plan"
            found.append(_why(shown.servers[uuid], ARRIVED_SINCE, message))
    return found


def _why(server: objects.HostServer, reason: str, message: str) -> dict[str, Any]:
    return {
        "server_uuid": server.uuid,
        "server_name": server.name,
        "reason": reason,
        "message": message,
    }


def _destinations(made: Made, destinations: Sequence[str]) -> list[str | None]:
    """Return where each server of the plan goes: to that of the destinations which gets the least
    memory by then; None where none are given."""
    if not destinations:
        return [None] * len(made.plan.moves)
    given = dict.fromkeys(destinations, 0.0)
    found: list[str | None] = []
    for move in made.plan.moves:
        least = min(given, key=lambda name: given[name])
        migration = made.befores[move.server_uuid].migration
        given[least] += migration.memory_bytes if migration is not None else 0.0
        found.append(least)
    return found


def _percent(share: float | None) -> int | None:
    return None if share is None or not math.isfinite(share) else round(100 * share)


def _tenths(seconds: float | None) -> float | None:
    """Return rounded seconds; None for a time that never comes."""
    return None if seconds is None or not math.isfinite(seconds) else round(seconds, 1)


def _instant(begun_at: datetime, seconds: float | None) -> str | None:
    if seconds is None or not abs(seconds) <= _LONGEST_SECONDS:
        return None
    return views.instant(begun_at + timedelta(seconds=seconds))


def _at(like: datetime, epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, like.tzinfo)

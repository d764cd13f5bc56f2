# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of the native API's documents, made from the types that the documents are made from.
They cover all microversions: fields that a later one brought are optional."""

import enum
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from migprog.api import microversion, views
from migprog.api.error_codes import ErrorCode
from migprog.api.schemas import INSTANT, TEXT, UUID, Schema
from migprog.core import drain, may_restart
from migprog.core.forecast import calibration
from migprog.core.forecast.before_check import Outcome
from migprog.core.operator_actions import WHO
from migprog.core.post_mortem.forecasts import ForecastQuality
from migprog.core.post_mortem.phases import Share
from migprog.core.post_mortem.sentences import Sentences
from migprog.core.post_mortem.verdicts import VerdictSpan
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.objects import Agent, Measurement, Migration, Point, Server
from migprog.objects.migration import INSTANTS

_TYPES: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: TEXT,
    datetime: INSTANT,
}


def of_type(hint: Any) -> Schema:
    """Return the schema of a type's values; ``X | None`` is nullable."""
    if isinstance(hint, types.UnionType):
        (known,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
        return nullable(of_type(known))
    if issubclass(hint, enum.StrEnum):
        return {"type": "string", "enum": [each.value for each in hint]}
    return _TYPES[hint]


def of_fields(kind: type, names: Iterable[str] | None = None) -> dict[str, Schema]:
    """Return the schemas of a dataclass's fields, or of some of them."""
    hints = typing.get_type_hints(kind)
    return {name: of_type(hints[name]) for name in names or kind.__slots__}  # type: ignore[attr-defined]


def nullable(schema: Schema) -> Schema:
    """Return a schema that also allows null."""
    if "enum" in schema:
        return {"type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return {**schema, "type": [*dict.fromkeys([*kinds, "null"])]}


def document(properties: Mapping[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """Return the schema of an object with these keys only; ``optional`` ones may be missing."""
    left_out = set(optional)
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in left_out],
        "additionalProperties": False,
    }


def listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def ref(name: str) -> Schema:
    """Return a reference to one of :data:`COMPONENTS`, or of the Nova-compatible API's."""
    return {"$ref": f"#/components/schemas/{name}"}


def page(name: str, schema: Schema) -> Schema:
    """Return the schema of a page of a list, with a link to the next page if there is one."""
    links = f"{name}_links"
    return document({name: listed(schema), links: listed(ref("Link"))}, optional=[links])


_CHECK = of_fields(calibration.ForecastCheck)
_DISK = {
    "name": TEXT,
    **dict.fromkeys(("total_bytes", "processed_bytes", "remaining_bytes"), _TYPES[int]),
}
_ADVICE = {
    "at": INSTANT,
    # Words that later agents may add to.
    **dict.fromkeys(("action", "reason", "message"), TEXT),
    "figures": {"type": "object", "additionalProperties": _TYPES[float]},
    "works_by": nullable(INSTANT),
    "state": TEXT,
    **dict.fromkeys(("score", "score_message"), nullable(TEXT)),
}
_WHO = dict.fromkeys(WHO, nullable(TEXT))
_ACTION = {"at": INSTANT, **dict.fromkeys(("action", "state"), TEXT), **_WHO}
_BEFORE = {
    "measured_at": INSTANT,
    "converges": TEXT,
    **dict.fromkeys(
        ("total_seconds", "low_seconds", "high_seconds", "error_seconds"), nullable(_TYPES[float])
    ),
    "outcome": of_type(Outcome),
}
_MIGRATION = {
    **of_fields(Migration, (name for name in views.AS_STORED if name != "in_progress")),
    "in_progress": _TYPES[bool],
    **dict.fromkeys(views.ENDS, nullable(INSTANT)),
    **of_fields(Migration, INSTANTS),
    "disks": nullable(listed(document(_DISK))),
    "advice": nullable(listed(document(_ADVICE))),
    "actions": nullable(listed(document(_ACTION))),
    "forecast_before": {"oneOf": [document(_BEFORE), {"type": "null"}]},
    "stale": _TYPES[bool],
    "calibration": listed(document(_CHECK)),
    "links": listed(ref("Link")),
}
_SERVER = {
    "id": UUID,
    **of_fields(Server, ("uuid", "name", "project_id", "user_id")),
    "host": nullable(TEXT),
    **of_fields(Server, ("progress", "sampled_at", "migration_uuid")),
    "links": listed(ref("Link")),
}
_AGENT = {**of_fields(Agent), "silent": _TYPES[bool]}
_DRAIN = {
    "host": TEXT,
    **of_fields(Agent, ("servers", "servers_memory_bytes")),
    "last_reported_at": nullable(INSTANT),
    "silent": _TYPES[bool],
    **of_fields(drain.Forecast),
    # Before 1.3 the sentence.
    "eta_reason": TEXT,
    "transfer_rate": {"oneOf": [document(of_fields(drain.TransferRate)), {"type": "null"}]},
    "migrations": listed(ref("Migration")),
}
_HOST = {
    "host": TEXT,
    **of_fields(Agent, ("servers", "servers_memory_bytes")),
    "last_reported_at": nullable(INSTANT),
    "silent": _TYPES[bool],
    "restart": document(of_fields(may_restart.Restart)),
    **dict.fromkeys(("leaving", "arriving"), _TYPES[int]),
    **dict.fromkeys(
        ("last_ends_seconds", "last_ends_low_seconds", "last_ends_high_seconds"),
        nullable(_TYPES[float]),
    ),
    **dict.fromkeys(
        ("last_ends_at", "last_ends_at_earliest", "last_ends_at_latest"), nullable(INSTANT)
    ),
    "migrations": listed(ref("Migration")),
    "links": listed(ref("Link")),
}
_MEASUREMENT = {
    "measured_at": INSTANT,
    "windows": listed(
        document(dict.fromkeys(("seconds", "dirty_bytes_per_second"), _TYPES[float]))
    ),
    **of_fields(Measurement, ("memory_bytes", "resident_bytes", "disk_bytes")),
    "downtime_limit_seconds": nullable(_TYPES[float]),
}
RATE = {
    **dict.fromkeys(
        ("bytes_per_second", "low_bytes_per_second", "high_bytes_per_second", "migrations"),
        _TYPES[int],
    ),
    "source": TEXT,
    "newest_at": nullable(INSTANT),
}
_FORECAST = {
    "server_uuid": UUID,
    **dict.fromkeys(("server_name", "host", "dest_compute"), nullable(TEXT)),
    **dict.fromkeys(("block_migration", "auto_converge"), _TYPES[bool]),
    "converges": {"type": "string", "enum": ["yes", "no", "unknown"]},
    "message": TEXT,
    **dict.fromkeys(
        ("total_seconds", "low_seconds", "high_seconds", "downtime_needed_seconds"),
        nullable(_TYPES[float]),
    ),
    "bandwidth_needed_bytes_per_second": nullable(_TYPES[int]),
    "helps": listed(TEXT),
    "measurement": document(_MEASUREMENT),
    "transfer_rate": document(RATE),
    "failure": {
        "oneOf": [
            document({"at": INSTANT, "reason": TEXT, "message": TEXT}),
            {"type": "null"},
        ]
    },
    "links": listed(ref("Link")),
}
_ACTION_TAKEN = {"action": TEXT, "at": INSTANT, "by": nullable(TEXT), "failed": _TYPES[bool]}
_ASKED = {name: _WHO[name] for name in ("user_id", "project_id")}
_MEASURE = {
    "action": TEXT,
    "message": nullable(TEXT),
    "figures": {"type": "object", "additionalProperties": _TYPES[float]},
    "earlier_seconds": nullable(_TYPES[float]),
}
_WHY = of_type(WhyNotKnown | None)
_SUMMARY = {
    **of_fields(Migration, ("id", "uuid", "server_uuid", "server_name", "status")),
    "in_progress": _TYPES[bool],
    **of_fields(Migration, ("started_at", "ended_at")),
    "seconds": _TYPES[float],
    "downtime_seconds": nullable(_TYPES[float]),
    "phases": listed(document(of_fields(Share, Share._fields))),
    "phases_within_seconds": nullable(_TYPES[float]),
    "dominant_phase": nullable(TEXT),
    "dominant_phase_reason": _WHY,
    "verdicts": listed(document(of_fields(VerdictSpan, VerdictSpan._fields))),
    "measures": listed(document(_MEASURE | {"reason": _WHY})),
    "forecast": document(of_fields(ForecastQuality, ForecastQuality._fields)),
    "actions": listed(document(_ACTION_TAKEN | {"reason": _WHY} | _ASKED, optional=_ASKED)),
    "sentences": document(of_fields(Sentences, Sentences._fields)),
    "links": listed(ref("Link")),
}
# Keys of some errors only.
_OPTIONAL = ("field", "rule", "min_version", "max_version")
_ERROR = {
    "request_id": TEXT,
    "code": of_type(ErrorCode),
    "status": _TYPES[int],
    **dict.fromkeys(("title", "detail", *_OPTIONAL), TEXT),
}

COMPONENTS: dict[str, Schema] = {
    "Link": document({"rel": TEXT, "href": TEXT}),
    "Migration": document(
        _MIGRATION | {name: nullable(_MIGRATION[name]) for name in views.OF_HOSTS},
        optional=microversion.SINCE,
    ),
    "Point": document(of_fields(Point)),
    "Server": document(_SERVER),
    "Agent": document(_AGENT, optional=("loop_age_seconds", "measurements_enabled")),
    "Drain": document(_DRAIN, optional=("eta_message",)),
    "Summary": document(_SUMMARY),
    "Forecast": document(_FORECAST),
    "Error": document({"errors": listed(document(_ERROR, optional=_OPTIONAL))}),
}

MIGRATION = document({"migration": ref("Migration")})
MIGRATIONS = page("migrations", ref("Migration"))
FORECAST = document({"forecast": ref("Forecast")})
SUMMARY = document({"summary": ref("Summary")})
MIGRATIONS_OR_NEWS = document(
    {
        **MIGRATIONS["properties"],
        # Of news only.
        "ended": listed(ref("Migration")),
        "left": listed(_TYPES[int]),
        "whole": _TYPES[bool],
        "cursor": TEXT,
    },
    optional=("migrations_links", "ended", "left", "whole", "cursor"),
)
HISTORY = document({"history": listed(ref("Point"))})
SERVER = document({"server": ref("Server")})
AGENTS = page("agents", ref("Agent"))
HOST = document({"host": document(_HOST)})
DRAIN = document({"drain": ref("Drain")})
HEALTH = document({"detailed": _TYPES[bool], "reasons": listed(TEXT)})
VERSIONS = document(
    {
        "versions": listed(
            document(
                dict.fromkeys(("id", "status", "min_version"), TEXT)
                | dict.fromkeys(("max_version", "version", "updated"), TEXT)
                | {"links": listed(ref("Link"))},
                optional=("max_version", "version", "updated"),
            )
        )
    }
)
OPENAPI: Schema = {"type": "object"}

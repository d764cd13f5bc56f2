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
from migprog.core import drain
from migprog.core.forecast import calibration
from migprog.objects import Agent, Migration, Point, Server
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
}
_MIGRATION = {
    **of_fields(Migration, (name for name in views.AS_STORED if name != "in_progress")),
    "in_progress": _TYPES[bool],
    **dict.fromkeys(views.ENDS, nullable(INSTANT)),
    **of_fields(Migration, INSTANTS),
    "disks": nullable(listed(document(_DISK))),
    "advice": nullable(listed(document(_ADVICE))),
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
_AGENT = {**of_fields(Agent), "stale": _TYPES[bool]}
_DRAIN = {
    "host": TEXT,
    **of_fields(Agent, ("servers", "servers_memory_bytes")),
    "last_reported_at": nullable(INSTANT),
    "stale": _TYPES[bool],
    **of_fields(drain.Forecast),
    "transfer_rate": {"oneOf": [document(of_fields(drain.TransferRate)), {"type": "null"}]},
    "migrations": listed(ref("Migration")),
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
    "Agent": document(_AGENT),
    "Drain": document(_DRAIN),
    "Error": document({"errors": listed(document(_ERROR, optional=_OPTIONAL))}),
}

MIGRATION = document({"migration": ref("Migration")})
MIGRATIONS = page("migrations", ref("Migration"))
HISTORY = document({"history": listed(ref("Point"))})
SERVER = document({"server": ref("Server")})
AGENTS = page("agents", ref("Agent"))
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

# SPDX-License-Identifier: Apache-2.0
"""Parameters and bodies of requests to the native API, as JSON Schemas.

An error names the field and the rule; the text of a rule is made from its schema.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib import parse

import jsonschema

from migprog import exception
from migprog.api.long_poll import MOST_SECONDS
from migprog.core.actions import Action
from migprog.core.forecast.verdict import Verdict
from migprog.core.status import Status

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
UUID: Schema = {"type": "string", "format": "uuid"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
FORCE_COMPLETE = Action.FORCE_COMPLETE.value
# The body of an action.
ACTION: Schema = {
    "type": "object",
    "properties": {FORCE_COMPLETE: {"type": "null"}},
    "required": [FORCE_COMPLETE],
    "additionalProperties": False,
}
# Without characters that a database may not accept.
NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]*$"}
_FORMATS = jsonschema.FormatChecker(formats=["uuid"])
# datetime accepts more than RFC 3339.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)


@_FORMATS.checks("date-time", raises=(ValueError, OverflowError))
def _is_instant(text: object) -> bool:
    if not (isinstance(text, str) and _RFC_3339.fullmatch(text)):
        return False
    instant(text)
    return True


def instant(text: str) -> datetime:
    """Return an RFC 3339 instant in UTC. Raises :class:`ValueError`, :class:`OverflowError`."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def page(max_limit: int) -> dict[str, Schema]:
    """Return the parameters of a page: ``limit`` migrations after the one with UUID ``marker``."""
    return {
        "limit": {"type": "integer", "minimum": 1, "maximum": max_limit},
        "marker": UUID,
    }


def agents(max_limit: int) -> dict[str, Schema]:
    """Return the parameters of the list of agents: ``limit`` after the host ``marker``."""
    return page(max_limit) | {"marker": NAME}


def migrations(max_limit: int) -> dict[str, Schema]:
    """Return the parameters of the list of migrations of all hosts."""
    return page(max_limit) | {
        "host": NAME,
        "project_id": NAME,
        "server_uuid": UUID,
        "status": {"type": "string", "enum": [status.value for status in Status]},
        "verdict": {"type": "string", "enum": [verdict.value for verdict in Verdict]},
        "in_progress": {"type": "boolean"},
        "changed_since": INSTANT,
        "sort_key": {"type": "string", "enum": ["created_at", "started_at", "ended_at"]},
        "sort_dir": {"type": "string", "enum": ["asc", "desc"]},
        "wait": {"type": "integer", "minimum": 0, "maximum": MOST_SECONDS},
        "since": {**NAME, "maxLength": 64},
    }


def forecast(_max_limit: int) -> dict[str, Schema]:
    """Return the parameters of a forecast."""
    return {
        "host": NAME,
        "dest_compute": NAME,
        "block_migration": {"type": "boolean"},
        "auto_converge": {"type": "boolean"},
        "measured_after": INSTANT,
    }


# The same in the body of a request, and whether to measure first.
FORECAST_BODY: Schema = {
    "type": "object",
    "properties": {
        "host": NAME,
        "dest_compute": NAME,
        "block_migration": {"type": "boolean"},
        "auto_converge": {"type": "boolean"},
        "measure": {"type": "boolean"},
    },
    "additionalProperties": False,
}


def check_body(value: Any, schema: Schema) -> None:
    """Raise :class:`exception.BadBody` for a body that breaks its schema."""
    known: Mapping[str, Schema] = schema["properties"]
    if not isinstance(value, dict):
        raise exception.BadBody("must be a JSON object")
    for name, each in value.items():
        if name not in known:
            raise exception.BadBody(
                f"{_shown(name)!r} is unknown; known keys: {', '.join(sorted(known))}"
            )
        if not is_valid(each, known[name]):
            raise exception.BadBody(f"{name} {rule(known[name])}; it is {_shown(json.dumps(each))}")


def is_valid(value: Any, schema: Schema) -> bool:
    """Return whether a value is as its schema says, and no number that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    validator = jsonschema.Draft202012Validator(schema, format_checker=_FORMATS)
    return bool(validator.is_valid(value))


def nothing(_max_limit: int) -> dict[str, Schema]:
    """Return no parameters."""
    return {}


def migration(_max_limit: int) -> dict[str, Schema]:
    """Return the parameters of one migration: seconds to wait for a sequence above ``since``."""
    return {
        "wait": {"type": "integer", "minimum": 1, "maximum": MOST_SECONDS},
        "since": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    }


def read(query: str, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Return the values in an undecoded query string; parameters that are not given are left out.

    Raises :class:`exception.BadRequest` for the first parameter that is unknown, given twice, or
    breaks its rule.
    """
    values: dict[str, Any] = {}
    for name, text in parse.parse_qsl(query, keep_blank_values=True):
        if name not in schemas:
            known = ", ".join(sorted(schemas)) or "none"
            raise exception.BadRequest(_shown(name), f"is unknown; known parameters: {known}")
        if name in values:
            raise exception.BadRequest(name, "must be given once")
        values[name] = _value(name, text, schemas[name])
    return values


def _value(name: str, text: str, schema: Schema) -> Any:
    value = _READERS[schema["type"]](text)
    if not is_valid(value, schema):
        raise BadValue(name, text, rule(schema))
    return value


def check_name(field: str, text: str) -> None:
    """Raise :class:`exception.BadRequest` for a name in a path that no host can have."""
    _value(field, text, NAME)


class BadValue(exception.BadRequest):
    """An error whose text includes the value: ``limit: 'x' must be ...``."""

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(field, rule)
        self._value = value

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self._value)!r} {self.rule}"


def rule(schema: Schema) -> str:
    """Return the text of a schema's rule."""
    if schema["type"] == "integer":
        return f"must be a whole number from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "number":
        return f"must be a number from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "array":
        return (
            f"must be a list of {schema['minItems']} to {schema['maxItems']} different names of "
            "hosts, without commas and control characters"
        )
    if schema["type"] == "boolean":
        return "must be true or false"
    if "enum" in schema:
        return "must be one of: " + ", ".join(schema["enum"])
    if schema.get("format") == "uuid":
        return "must be a UUID, in its form with hyphens"
    if schema.get("format") == "date-time":
        return "must be an instant with its zone as in RFC 3339: 2026-09-01T12:00:00.5Z or +02:00"
    return (
        f"must be {schema['minLength']} to {schema['maxLength']} characters, "
        "none of them a control character"
    )


def _integer(text: str) -> int | str:
    # int() accepts signs, blanks, underscores and non-ASCII digits, and is slow with very many.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


def _number(text: str) -> float | str:
    # float() accepts blanks, underscores, non-ASCII digits and words.
    return float(text) if _NUMBER.fullmatch(text) else text


def _boolean(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


_READERS: dict[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "string": str,
}


def _shown(text: str) -> str:
    return text[:64]

# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas of the payloads, made from the types of what they are made from.

``python -m migprog.notifications.schema`` writes the files in ``schemas/``.
"""

import enum
import json
import pathlib
import types
import typing
from collections.abc import Iterable
from typing import Any

from migprog.core import fields, notices
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Report
from migprog.core.notices import By, Kind
from migprog.core.status import Status
from migprog.notifications.envelope import PAYLOADS

Schema = dict[str, Any]

DIRECTORY = pathlib.Path(__file__).with_name("schemas")
_TEXT: Schema = {"type": "string", "maxLength": fields.MAX_TEXT}
_WORD: Schema = {"type": "string", "maxLength": fields.MAX_WORD}
_UUID: Schema = {"type": "string", "format": "uuid", "maxLength": 36}
_INSTANT: Schema = {"type": "string", "format": "date-time", "maxLength": 27}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SIMPLE: dict[Any, Schema] = {
    str: _TEXT,
    int: _COUNT,
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def _nullable(schema: Schema) -> Schema:
    found = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        found["enum"] = [*schema["enum"], None]
    return found


def _described(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


def _of_type(hint: Any) -> Schema:
    if isinstance(hint, types.UnionType):
        (known,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
        return _nullable(_of_type(known))
    if issubclass(hint, enum.StrEnum):
        return {"type": "string", "enum": [each.value for each in hint]}
    return dict(_SIMPLE[hint])


# Values that a report has in another form, or not at all.
_OTHERS: dict[str, Schema] = {
    "uuid": _UUID,
    "server_uuid": _UUID,
    "nova_id": _nullable(_described(_COUNT, "Nova's id; null until it is known.")),
    "nova_uuid": _nullable(_described(_UUID, "Nova's UUID; null until it is known.")),
    "source_compute": _nullable(_described(_TEXT, "Null where only the destination reported.")),
    "dest_compute": _nullable(_described(_TEXT, "Null until the destination reports it.")),
    "started_at": _INSTANT,
    "sampled_at": _INSTANT,
    "ended_at": _nullable(_INSTANT),
}


def _of_report(names: Iterable[str]) -> dict[str, Schema]:
    hints = typing.get_type_hints(Report)
    return {name: _OTHERS[name] if name in _OTHERS else _of_type(hints[name]) for name in names}


def _object(properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_ACTION = _object(
    {
        "action": _described(
            _WORD,
            "An operator's: abort, force_complete. Steering's: see its page; later versions may "
            "add words.",
        ),
        "by": _described(_of_type(By), "nova: what nova-compute will do by itself."),
        "state": _described(
            _WORD,
            "requested: the agent has accepted an operator's request. advised, done, failed: of "
            "steering.",
        ),
        "reason": _nullable(_described(_WORD, "Steering's, in one word.")),
        "message": _nullable(_described(_TEXT, "Steering's, in a sentence.")),
        "figures": _described(
            {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "maxProperties": fields.MAX_FIGURES,
            },
            "Numbers by name, with their units in it.",
        ),
        "at": _described(_INSTANT, "When it was decided or requested."),
        "works_by": _nullable(_described(_INSTANT, "When it must have worked.")),
        "user_id": _nullable(_described(_TEXT, "Who requested it; null for steering.")),
        "project_id": _nullable(_described(_TEXT, "Of which project; null for steering.")),
        "request_id": _nullable(_described(_TEXT, "The API's request; null for steering.")),
    }
)
_MORE: dict[Kind, dict[str, Schema]] = {
    Kind.START: {},
    Kind.VERDICT_CHANGED: {
        "previous_verdict": _described(_nullable(_of_type(Verdict)), "Null where none was known.")
    },
    Kind.ACTION: {
        "action": _ACTION,
        "previous_state": _nullable(
            _described(_WORD, "The state of the same action before; null for a new one.")
        ),
    },
    Kind.END: {
        **_of_report(notices.END),
        "previous_status": _described(
            _nullable(_of_type(Status)),
            "The stored status before; unknown: an earlier notification said that the end was "
            "not seen. Null where the end is the first that was reported.",
        ),
    },
}


def of(kind: Kind) -> Schema:
    """Return the schema of the payloads of a kind of event, with their envelope."""
    name, version = PAYLOADS[kind]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{name} {version}",
        "description": "Keys of the migration have the meaning that they have in migprog's API.",
        **_object(
            {
                "migprog_object.name": {"const": name},
                "migprog_object.namespace": {"const": "migprog"},
                "migprog_object.version": {"const": version},
                "migprog_object.data": _object({**_of_report(notices.MIGRATION), **_MORE[kind]}),
            }
        ),
    }


def path(kind: Kind) -> pathlib.Path:
    """Return the file of a kind's schema."""
    name, version = PAYLOADS[kind]
    return DIRECTORY / f"{name}-{version}.json"


def text(kind: Kind) -> str:
    """Return what the file of a kind's schema should have."""
    return json.dumps(of(kind), indent=2) + "\n"


if __name__ == "__main__":
    for each in Kind:
        path(each).write_text(text(each))

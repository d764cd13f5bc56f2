# SPDX-License-Identifier: Apache-2.0
"""Notifications as consumers get them, checked by their JSON Schemas."""

import functools
import json
from typing import Any

import jsonschema

from migprog.core.notices import Event, Kind
from migprog.notifications import envelope, schema

# The longest that a notification may be, in bytes of JSON.
MAX_BYTES = 16_384
_KINDS = {envelope.event_type(kind): kind for kind in Kind}


@functools.cache
def _validator(kind: Kind) -> Any:
    """By the file, as the documents show it."""
    read = json.loads(schema.path(kind).read_text())
    jsonschema.Draft202012Validator.check_schema(read)
    return jsonschema.Draft202012Validator(
        read, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def check(event_type: str, payload: Any) -> dict[str, Any]:
    """Check what a consumer got; return the payload's data."""
    _validator(_KINDS[event_type]).validate(payload)
    assert len(json.dumps(payload, ensure_ascii=False).encode()) <= MAX_BYTES
    data: dict[str, Any] = payload["migprog_object.data"]
    return data


def sent(event: Event) -> dict[str, Any]:
    """Return the data of an event as it is sent, checked."""
    as_received = json.loads(json.dumps(envelope.wrap(event)))
    return check(envelope.event_type(event.kind), as_received)


def in_words(event: Event) -> str:
    """Return an event as the transcripts have it."""
    data = sent(event)
    words: dict[Kind, list[Any]] = {
        Kind.START: [data["status"]],
        Kind.VERDICT_CHANGED: [data.get("previous_verdict"), "->", data["verdict"]],
        Kind.ACTION: [],
        Kind.END: [data.get("previous_status"), "->", data["status"]],
    }
    if event.kind is Kind.ACTION:
        action = data["action"]
        words[Kind.ACTION] = [
            *(action["action"], "by", action["by"]),
            *(data["previous_state"], "->", action["state"]),
        ]
    return " ".join(map(str, [event.kind, *words[event.kind], f"({event.priority})"]))

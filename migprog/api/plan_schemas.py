# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of a drain's plan: what may be asked for, and its document."""

from migprog.api.response_schemas import RATE, document, listed, nullable, ref
from migprog.api.schemas import INSTANT, NAME, TEXT, UUID, Schema

MOST_DESTINATIONS, MOST_AT_ONCE = 50, 32
_BOOLEAN, _INTEGER, _NUMBER = ({"type": kind} for kind in ("boolean", "integer", "number"))
# A comma separates names in an address.
_HOST = {**NAME, "pattern": r"^[^\x00-\x1f\x7f,]*$"}
_SHARED: dict[str, Schema] = {
    "at_once": {"type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE},
    "network_bytes_per_second": {"type": "integer", "minimum": 1_000_000, "maximum": 10**13},
    "downtime_limit_seconds": {"type": "number", "minimum": 0.001, "maximum": 2000},
    "deadline": INSTANT,
    "block_migration": _BOOLEAN,
    "auto_converge": _BOOLEAN,
}
BODY: Schema = {
    "type": "object",
    "properties": {
        "destinations": {
            "type": "array",
            "items": _HOST,
            "minItems": 1,
            "maxItems": MOST_DESTINATIONS,
            "uniqueItems": True,
        },
        **_SHARED,
        "measure": _BOOLEAN,
    },
    "additionalProperties": False,
}


def query(_max_limit: int) -> dict[str, Schema]:
    """Return the parameters of GET: the same, and since when."""
    return {
        "destinations": {**NAME, "maxLength": 3000},
        **_SHARED,
        "made_at": INSTANT,
        "measured_after": INSTANT,
    }


_WHICH = {"server_uuid": UUID, "server_name": nullable(TEXT)}
_FORECAST = {
    "converges": {"type": "string", "enum": ["yes", "no", "unknown"]},
    "message": TEXT,
    "helps": listed(TEXT),
    **dict.fromkeys(
        ("alone_seconds", "alone_low_seconds", "alone_high_seconds"), nullable(_NUMBER)
    ),
    "measured_at": INSTANT,
}
_MOVE = {
    **_WHICH,
    "state": {"type": "string", "enum": ["waiting", "running", "done", "failed", "gone"]},
    "beside": _INTEGER,
    **dict.fromkeys(("starts_seconds", "ends_seconds"), nullable(_NUMBER)),
    **_FORECAST,
    "dest_compute": nullable(TEXT),
}
_STAY = {
    **_WHICH,
    "state": {"type": "string", "enum": ["stays", "running", "done", "failed", "gone"]},
    "downtime_needed_seconds": nullable(_NUMBER),
    "bandwidth_needed_bytes_per_second": nullable(_INTEGER),
    **_FORECAST,
}
_PLAN = {
    "host": TEXT,
    "made_at": INSTANT,
    "begun_at": nullable(INSTANT),
    "state": {"type": "string", "enum": ["planned", "running", "done"]},
    "message": TEXT,
    "destinations": listed(TEXT),
    "at_once": nullable(_INTEGER),
    "network_bytes_per_second": nullable(_INTEGER),
    "downtime_limit_seconds": nullable(_NUMBER),
    "deadline": nullable(INSTANT),
    "block_migration": _BOOLEAN,
    "auto_converge": _BOOLEAN,
    "most_at_once": _INTEGER,
    **dict.fromkeys(
        ("total_seconds", "low_seconds", "high_seconds", "planned_seconds", "late_seconds"),
        nullable(_NUMBER),
    ),
    **dict.fromkeys(("ends_at", "ends_at_earliest", "ends_at_latest"), nullable(INSTANT)),
    "in_time": {"type": ["string", "null"], "enum": ["yes", "no", "unknown", None]},
    "usual_seconds": nullable(_NUMBER),
    "gain_percent": nullable(_INTEGER),
    "transfer_rate": document(RATE),
    "moves": listed(document(_MOVE)),
    "stays": listed(document(_STAY)),
    "unplanned": listed(document({**_WHICH, "reason": TEXT, "message": TEXT})),
    "unknown_servers": nullable(_INTEGER),
    "links": listed(ref("Link")),
}
ANSWER = document({"drain_plan": document(_PLAN)})

# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests, which are JSON of bounded size, and the schema of actions."""

import json
from typing import Any

import falcon

from migprog.api.error_codes import ErrorCode
from migprog.api.errors import ApiError
from migprog.api.schemas import Schema
from migprog.core.actions import Action

FORCE_COMPLETE = Action.FORCE_COMPLETE.value
ACTION: Schema = {
    "type": "object",
    "properties": {FORCE_COMPLETE: {"type": "null"}},
    "required": [FORCE_COMPLETE],
    "additionalProperties": False,
}


def read(req: falcon.Request, *accepted: str) -> Any:
    """Return the JSON document in a request's body, None if it is not JSON. ``accepted``: its
    media types.

    Raises :class:`ApiError` for another media type.
    """
    content_type = (req.content_type or "").partition(";")[0].strip().lower()
    if content_type not in accepted:
        raise ApiError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Unsupported Content-Type {content_type[:64]}"
        )
    try:
        return json.loads(req.bounded_stream.read())
    except (ValueError, RecursionError):
        return None

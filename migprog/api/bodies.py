# SPDX-License-Identifier: Apache-2.0
"""Read the body of a request, which is JSON of bounded size."""

import json
from typing import Any

import falcon

from migprog.api.error_codes import ErrorCode
from migprog.api.errors import ApiError


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

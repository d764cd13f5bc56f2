# SPDX-License-Identifier: Apache-2.0
"""The request context sent with every RPC."""

import re
from typing import Any

import oslo_context.context

# Keystone's identifiers have at most 64 characters, request ids about 40. oslo.log writes them into
# each line.
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+-]{1,64}")

# In a message's context: what the server that receives it adds.
REDELIVERED = "is_redelivered"


class RequestContext(oslo_context.context.RequestContext):
    """oslo.context's. ``is_redelivered``: the broker had delivered this call before, to a server
    that did not answer it."""

    is_redelivered = False


def for_service() -> RequestContext:
    """Return the context of work that no user requested."""
    return RequestContext(is_admin=True, overwrite=False)


def without_token(asking: RequestContext) -> RequestContext:
    """Return user and request of ``asking`` for other services, which do not need its token."""
    return RequestContext(
        request_id=asking.request_id,
        user_id=asking.user_id,
        project_id=asking.project_id,
        overwrite=False,
    )


def from_dict(values: Any) -> RequestContext:
    """Return the context in a message: its user and request, where these are valid identifiers.

    Anyone who may send to the broker chooses ``values``; everything else in them is ignored.
    """
    found = values if isinstance(values, dict) else {}
    read = RequestContext(
        request_id=_identifier(found.get("request_id")),
        global_request_id=_identifier(found.get("global_request_id")),
        user_id=_identifier(found.get("user")),
        project_id=_identifier(found.get("project_id")),
    )
    read.is_redelivered = found.get(REDELIVERED) is True
    return read


def _identifier(value: Any) -> str | None:
    return value if isinstance(value, str) and _IDENTIFIER.fullmatch(value) else None

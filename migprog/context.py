# SPDX-License-Identifier: Apache-2.0
"""The request context that travels with every RPC."""

from typing import Any

import oslo_context.context


class RequestContext(oslo_context.context.RequestContext):
    """oslo.context's, under our own name, as oslo.log prints it."""


def for_service() -> RequestContext:
    """The context of work that no user asked for."""
    return RequestContext(is_admin=True, overwrite=False)


def without_token(asking: RequestContext) -> RequestContext:
    """Who asks and in which request, for those who act: the token is none of their business."""
    return RequestContext(
        request_id=asking.request_id,
        user_id=asking.user_id,
        project_id=asking.project_id,
        overwrite=False,
    )


def from_dict(values: dict[str, Any]) -> RequestContext:
    return RequestContext.from_dict(values)

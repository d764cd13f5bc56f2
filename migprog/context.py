# SPDX-License-Identifier: Apache-2.0
"""The request context that travels with every RPC."""

from typing import Any

import oslo_context.context


class RequestContext(oslo_context.context.RequestContext):
    """oslo.context's, under our own name, as oslo.log prints it."""


def for_service() -> RequestContext:
    """The context of work that no user asked for."""
    return RequestContext(is_admin=True, overwrite=False)


def from_dict(values: dict[str, Any]) -> RequestContext:
    return RequestContext.from_dict(values)

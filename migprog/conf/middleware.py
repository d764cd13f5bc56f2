# SPDX-License-Identifier: Apache-2.0
"""migprog's defaults for options of oslo.middleware."""

from oslo_config import cfg
from oslo_middleware import cors, sizelimit

# Valid requests have a few words only.
MAX_BODY_BYTES = 16 * 1024

# oslo.middleware of OpenStack 2025.1 (6.3) has no public name for them.
_SIZE_OPTS = getattr(sizelimit, "OPTS", None) or sizelimit._opts


def set_defaults() -> None:
    """Set the defaults. Call this before options are registered or a sample file is generated."""
    cfg.set_defaults(_SIZE_OPTS, max_request_body_size=MAX_BODY_BYTES)
    cors.set_defaults(
        # There are no cookies: a token comes in a header.
        allow_credentials=False,
        allow_headers=[
            "If-None-Match",
            "OpenStack-API-Version",
            "X-Auth-Token",
            "X-OpenStack-Nova-API-Version",
            "X-OpenStack-Request-Id",
        ],
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        expose_headers=[
            "Allow",
            "ETag",
            "OpenStack-API-Version",
            "Retry-After",
            "X-Compute-Request-Id",
            "X-OpenStack-Nova-API-Version",
            "X-OpenStack-Request-Id",
        ],
    )


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options that must be known before the middleware is created."""
    set_defaults()
    conf.register_opts(cors.CORS_OPTS, "cors")

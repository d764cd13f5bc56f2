# SPDX-License-Identifier: Apache-2.0
"""Defaults of ours for options of oslo.middleware."""

from oslo_config import cfg
from oslo_middleware import cors, sizelimit

# Nothing that is sent to us has more than a few words.
MAX_BODY_BYTES = 16 * 1024

# oslo.middleware of OpenStack 2025.1 (6.3) has no public name for them.
_SIZE_OPTS = getattr(sizelimit, "OPTS", None) or sizelimit._opts


def set_defaults() -> None:
    """To be called before the options are registered, and before a sample file is made of them."""
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
    """Those that have to be known before it is."""
    set_defaults()
    conf.register_opts(cors.CORS_OPTS, "cors")

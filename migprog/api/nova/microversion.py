# SPDX-License-Identifier: Apache-2.0
"""Microversions of the Nova-compatible API."""

from collections.abc import Mapping
from typing import Any

from microversion_parse import Version

from migprog.api.errors import ApiError
from migprog.api.microversion import HEADER, Microversions

__all__ = ["HEADER", "LEGACY_HEADER", "MAX", "MIN", "NOVA", "headers"]

LEGACY_HEADER = "X-OpenStack-Nova-API-Version"

MIN = Version(2, 1)
MAX = Version(2, 104)
NOVA = Microversions("compute", MIN, MAX, LEGACY_HEADER)


def headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers that name the version as Nova does: the requested one, supported or not;
    none if it could not be parsed."""
    try:
        version = NOVA.requested(environ)
    except ApiError:
        version = None
    return NOVA.headers(version)

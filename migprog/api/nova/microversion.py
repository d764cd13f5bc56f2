# SPDX-License-Identifier: Apache-2.0
"""Microversions of the Nova-compatible API."""

import webob
from microversion_parse import Version

from migprog.api.errors import ApiError
from migprog.api.microversion import HEADER, Microversions

__all__ = ["HEADER", "LEGACY_HEADER", "MAX", "MIN", "NOVA", "answer"]

LEGACY_HEADER = "X-OpenStack-Nova-API-Version"

MIN = Version(2, 1)
MAX = Version(2, 104)
NOVA = Microversions("compute", MIN, MAX, LEGACY_HEADER)


def answer(request: webob.Request, response: webob.Response) -> None:
    """Name the version in the headers as Nova does: the requested one, supported or not; none if it
    could not be parsed."""
    try:
        version = NOVA.requested(request.environ)
    except ApiError:
        version = None
    NOVA.name_in(response, version)

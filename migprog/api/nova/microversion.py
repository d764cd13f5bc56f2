# SPDX-License-Identifier: Apache-2.0
"""The microversions of Nova's API."""

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
    """Name the version in the headers, as Nova does: the one that was asked for, supported or not;
    none where it could not be read."""
    try:
        version = NOVA.requested(request.environ)
    except ApiError:
        version = None
    NOVA.name_in(response, version)

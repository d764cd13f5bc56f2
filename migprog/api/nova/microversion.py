# SPDX-License-Identifier: Apache-2.0
"""The microversion that a request speaks, and how its answer says so."""

import re
from collections.abc import Mapping
from typing import Any

import falcon
import microversion_parse
import webob
from microversion_parse import Version

SERVICE = "compute"
HEADER = "OpenStack-API-Version"
LEGACY_HEADER = "X-OpenStack-Nova-API-Version"

MIN = Version(2, 1)
MAX = Version(2, 104)

# No leading zeros, and not so many digits that they would be slow to read.
_FORM = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8}|0)")


def asked(environ: Mapping[str, Any]) -> Version:
    """What a WSGI request asks for, whether or not we have it; 2.1 if it does not say.

    Raises :class:`falcon.HTTPBadRequest` when it cannot be read.
    """
    headers = {
        name: environ["HTTP_" + name.upper().replace("-", "_")]
        for name in (HEADER, LEGACY_HEADER)
        if "HTTP_" + name.upper().replace("-", "_") in environ
    }
    text = microversion_parse.get_version(headers, SERVICE, [LEGACY_HEADER])
    if text is None:
        return MIN
    if text == "latest":
        return MAX
    match = _FORM.fullmatch(text)
    if match is None:
        raise falcon.HTTPBadRequest(
            description=f"API Version String {text[:64]} is of invalid format. "
            "Must be of format MajorNum.MinorNum."
        )
    return Version(int(match[1]), int(match[2]))


def supported(version: Version) -> Version:
    """The same, if we have it. Raises :class:`falcon.HTTPNotAcceptable`."""
    if not version.matches(MIN, MAX):
        raise falcon.HTTPNotAcceptable(
            description=f"Version {version} is not supported by the API. "
            f"Minimum is {MIN} and maximum is {MAX}."
        )
    return version


def answer(request: webob.Request, response: webob.Response) -> None:
    """Say in the headers which version was answered: nothing where none could be read."""
    response.vary = [HEADER, LEGACY_HEADER]
    try:
        version = asked(request.environ)
    except falcon.HTTPBadRequest:
        return
    response.headers[HEADER] = f"{SERVICE} {version}"
    response.headers[LEGACY_HEADER] = str(version)

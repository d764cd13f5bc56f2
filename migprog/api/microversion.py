# SPDX-License-Identifier: Apache-2.0
"""Microversions of the native API, and their headers in requests and answers.

A client names its microversion: ``OpenStack-API-Version: migration-progress 1.0``. Without the
header it gets the oldest one, so that existing clients keep working.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import falcon
import microversion_parse
from microversion_parse import Version

from migprog import SERVICE_TYPE
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import ApiError

HEADER = "OpenStack-API-Version"

# Clients name few: of others the least recent are parsed again.
_MOST_PARSED = 128
# No leading zeros, and a bounded number of digits.
_FORM = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8}|0)")


@dataclass(frozen=True, slots=True)
class Microversions:
    """The microversions of a service. ``legacy_header``: of that service only, a bare version."""

    service: str
    oldest: Version
    newest: Version
    legacy_header: str | None = None

    @property
    def names(self) -> list[str]:
        """The names of the headers."""
        return [HEADER, *([self.legacy_header] if self.legacy_header else ())]

    def requested(self, environ: Mapping[str, Any]) -> Version:
        """Return the version that a WSGI request names, supported or not; by default the oldest.

        Raises :class:`ApiError` if it cannot be parsed.
        """
        given = tuple(environ.get("HTTP_" + name.upper().replace("-", "_")) for name in self.names)
        if all(text is None for text in given):
            return self.oldest
        return _requested(self, given)

    def is_supported(self, version: Version) -> bool:
        return bool(version.matches(self.oldest, self.newest))

    def negotiate(self, environ: Mapping[str, Any]) -> Version:
        """Return the version to answer a WSGI request in. Raises :class:`ApiError`."""
        version = self.requested(environ)
        if not self.is_supported(version):
            raise ApiError(
                ErrorCode.MICROVERSION_UNSUPPORTED,
                f"Version {version} is not supported by the API. "
                f"Minimum is {self.oldest} and maximum is {self.newest}.",
                min_version=str(self.oldest),
                max_version=str(self.newest),
            )
        return version

    def headers(self, version: Version | None) -> list[tuple[str, str]]:
        """Return the headers with an answer's version; None: it has none."""
        headers = [("Vary", ", ".join(self.names))]
        if version is not None:
            headers.append((HEADER, f"{self.service} {version}"))
            if self.legacy_header:
                headers.append((self.legacy_header, str(version)))
        return headers


@functools.lru_cache(maxsize=_MOST_PARSED)
def _requested(of: Microversions, given: tuple[str | None, ...]) -> Version:
    """Return the version that the values of a request's headers name."""
    headers = {name: text for name, text in zip(of.names, given, strict=True) if text is not None}
    legacy = [of.legacy_header] if of.legacy_header else []
    text = microversion_parse.get_version(headers, of.service, legacy)
    if text is None:
        return of.oldest
    if text == "latest":
        return of.newest
    match = _FORM.fullmatch(text)
    if match is None:
        raise ApiError(
            ErrorCode.MICROVERSION_MALFORMED,
            f"API Version String {text[:64]} is of invalid format. "
            "Must be of format MajorNum.MinorNum.",
        )
    return Version(int(match[1]), int(match[2]))


# What each version of the native API brought, oldest first.
HISTORY: Mapping[Version, str] = {
    Version(1, 0): "The first one.",
    Version(1, 1): "``arrived_at`` of a migration.",
    Version(1, 2): "``advice`` of a migration.",
    Version(
        1, 3
    ): "``/summary`` of a migration. ``eta_message`` of a drain; ``eta_reason`` is a word.",
    Version(1, 4): "News of lists: ``wait`` and ``since`` of ``/migrations``.",
    Version(1, 5): "``actions`` of a migration, with who asked for them, also in its summary. "
    "``loop_age_seconds`` of an agent.",
    Version(1, 6): "``/forecast`` of a server. ``forecast_before`` of a migration, "
    "``measurements_enabled`` of an agent.",
    Version(1, 7): "``/hosts/<host>``, and ``/drain-plan`` of a host.",
    Version(1, 8): "``expected_downtime_seconds`` of a migration.",
}
NEWS_SINCE = Version(1, 4)
# Keys of a migration that a later version brought; all others are in the first.
SINCE: Mapping[str, Version] = {
    "arrived_at": Version(1, 1),
    "advice": Version(1, 2),
    "actions": Version(1, 5),
    "forecast_before": Version(1, 6),
    "expected_downtime_seconds": Version(1, 8),
}
SUMMARY_SINCE = Version(1, 3)
# Since then agents have a loop's age, and the actions of a summary who asked for them.
WHO_ASKED = Version(1, 5)
FORECAST_SINCE = MEASUREMENTS_SINCE = Version(1, 6)
HOSTS_SINCE = Version(1, 7)
# Since then a drain has a word for its reason, and the sentence under a name of its own.
ETA_MESSAGE = Version(1, 3)
NATIVE = Microversions(SERVICE_TYPE, min(HISTORY), max(HISTORY))


class Negotiation:
    """Falcon middleware: ``req.context.version`` is the microversion to answer in."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.version = NATIVE.negotiate(req.env)


def headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers with the native API's version that a request was answered in."""
    try:
        version = NATIVE.requested(environ)
    except ApiError:
        version = None
    is_answered = version is not None and NATIVE.is_supported(version)
    return NATIVE.headers(version if is_answered else None)

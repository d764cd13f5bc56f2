# SPDX-License-Identifier: Apache-2.0
"""Query parameters and bodies of actions, by microversion.

Errors have Nova's texts, which are those of jsonschema.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib import parse

import falcon
import jsonschema
from microversion_parse import Version
from oslo_utils import timeutils

from migprog.api import bodies
from migprog.api.nova import microversion
from migprog.api.schemas import ACTION, FORCE_COMPLETE, INSTANT, TEXT

V2_59, V2_66, V2_80 = Version(2, 59), Version(2, 66), Version(2, 80)
V2_75, V2_102 = Version(2, 75), Version(2, 102)

_COUNT = {**TEXT, "pattern": "^[0-9]*$"}
_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=(ValueError, OverflowError))
def _is_instant(text: object) -> bool:
    timeutils.normalize_time(timeutils.parse_isotime(text))
    return True


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter. ``single``: may be given once; of others the last value counts."""

    schema: Mapping[str, Any]
    since: Version = microversion.MIN
    single: bool = False


@dataclass(frozen=True, eq=False)
class Query:
    """Query parameters of a path. Others are ignored, or refused from ``strict_since`` on."""

    parameters: Mapping[str, Parameter]
    strict_since: Version

    def read(self, query_string: str, version: Version) -> dict[str, str]:
        """Return the values in an undecoded query. Raises :class:`falcon.HTTPBadRequest`."""
        given = parse.parse_qs(query_string, keep_blank_values=True)
        error = next(_validator(self, version).iter_errors(given), None)
        if error is not None:
            raise falcon.HTTPBadRequest(description=_error_text(error, "query parameters"))
        known = _properties(self, version)
        return {name: values[-1] for name, values in given.items() if name in known}


def _properties(query: Query, version: Version) -> dict[str, Any]:
    return {
        name: {"type": "array", "items": parameter.schema}
        | ({"maxItems": 1} if parameter.single else {})
        for name, parameter in query.parameters.items()
        if parameter.since <= version
    }


@functools.lru_cache(maxsize=1024)
def _validator(query: Query, version: Version) -> jsonschema.Draft202012Validator:
    schema = {
        "type": "object",
        "properties": _properties(query, version),
        "additionalProperties": version < query.strict_since,
    }
    return jsonschema.Draft202012Validator(schema, format_checker=_FORMATS)


def _error_text(error: jsonschema.ValidationError, where: str) -> str:
    """Return what is wrong in Nova's words, bounded."""
    if error.path:
        text = f"Invalid input for {where} {error.path[0]}. Value: {error.instance}. "
        return text[:500] + error.message[:500]
    return error.message[:500]


ANYTHING = Query({}, Version(microversion.MAX.major, microversion.MAX.minor + 1))
MIGRATIONS = Query({}, V2_102)
# Nova's list of servers has many more filters. Ignoring one would give a wrong list.
SERVERS = Query(
    {
        "name": Parameter(TEXT),
        "all_tenants": Parameter(TEXT),
        # Some clients always send it.
        "deleted": Parameter({"type": "string", "enum": ["False", "false", "0"]}),
        "limit": Parameter(_COUNT),
        "marker": Parameter(TEXT),
    },
    microversion.MIN,
)
SERVER = Query({}, V2_102)
OS_MIGRATIONS = Query(
    {
        "hidden": Parameter(TEXT),
        "host": Parameter(TEXT),
        "instance_uuid": Parameter(TEXT),
        "source_compute": Parameter(TEXT),
        "status": Parameter(TEXT),
        "migration_type": Parameter(TEXT),
        "limit": Parameter(_COUNT, V2_59, single=True),
        "marker": Parameter(TEXT, V2_59, single=True),
        "changes-since": Parameter(INSTANT, V2_59, single=True),
        "changes-before": Parameter(INSTANT, V2_66, single=True),
        "user_id": Parameter(TEXT, V2_80, single=True),
        "project_id": Parameter(TEXT, V2_80, single=True),
    },
    V2_59,
)


def limit(text: str | None, most: int) -> int:
    """Return the number of entries on a page: as requested, at most ``most``."""
    if text is None or len(text) > 9:
        return most
    if not text:
        raise falcon.HTTPBadRequest(description="limit must be an integer")
    return min(int(text), most)


_ACTIONS = {FORCE_COMPLETE: jsonschema.Draft202012Validator(ACTION)}
# Nova also accepts text/plain and no type, which any web page can make a browser send.
_ACCEPTED = ("application/json", "application/vnd.openstack.compute+json")


def action(req: falcon.Request) -> dict[str, Any]:
    """Return the body of a known action, whose only key is its name, not validated yet.

    Raises :class:`falcon.HTTPError`.
    """
    body = bodies.read(req, *_ACCEPTED)
    if not isinstance(body, dict) or len(body) != 1:
        raise falcon.HTTPBadRequest(description="Malformed request body")
    (name,) = body
    if name not in _ACTIONS:
        raise falcon.HTTPBadRequest(description=f"There is no such action: {name[:64]}")
    return body


def check_action(body: Mapping[str, Any]) -> None:
    """Raise :class:`falcon.HTTPBadRequest` if the value of an action is not valid."""
    (name,) = body
    try:
        error = next(_ACTIONS[name].iter_errors(body), None)
    except RecursionError:
        # Nested so deeply that it can just be parsed, but not described.
        raise falcon.HTTPBadRequest(description="Malformed request body") from None
    if error is not None:
        raise falcon.HTTPBadRequest(description=_error_text(error, "field/attribute"))

# SPDX-License-Identifier: Apache-2.0
"""Base class of the native API's resources."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeAlias
from urllib import parse

import falcon
from microversion_parse import Version

from migprog.api import schemas, views
from migprog.api.access import Rules
from migprog.api.action_requests import Actions, Disabled
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import ApiError
from migprog.api.list_watchers import ListWatchers
from migprog.api.long_poll import LongPolls
from migprog.api.measuring import Disabled as MeasuringDisabled
from migprog.api.measuring import Measuring
from migprog.api.schemas import Schema
from migprog.objects import Store

Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What resources work with.

    ``actions``: requests actions from agents; ``measuring``: measurements. ``openapi``: the OpenAPI
    document.
    ``health``: further health checks, as a WSGI application that answers JSON.
    ``nova_names``: migrations have Nova's numbers and UUIDs in the Nova-compatible API.
    ``clock`` returns the time with its zone. ``long_polls``: the long polls. ``news``: the watchers
    of lists.
    """

    store: Store
    news: ListWatchers
    health: Application
    max_limit: int
    stale_after_seconds: float
    nova_names: bool = False
    actions: Actions = field(default_factory=Disabled)
    measuring: Measuring = field(default_factory=MeasuringDisabled)
    long_polls: LongPolls = field(default_factory=lambda: LongPolls(0))
    openapi: Mapping[str, Any] = field(default_factory=dict)
    clock: Callable[[], datetime] = _now


class Resource:
    """A resource that can be read.

    ``RULES``: the policy rule of each method, see :mod:`migprog.api.access`.
    ``NOTES``: descriptions of GET parameters in the OpenAPI document.
    ``QUERY`` returns the schemas of the GET parameters, given ``[api] max_limit``; ``ANSWER`` is
    the schema of the document, ``BODY`` that of a request's body. ``ANSWERS_POST``: POST may be
    answered with the document, too; ``ACCEPTED``: what 202 means where GET may be answered so.
    """

    RULES: ClassVar[Rules]
    NOTES: ClassVar[Mapping[str, str]] = {}
    # staticmethod is generic in stubs only.
    QUERY: "ClassVar[staticmethod[[int], Mapping[str, Schema]]]" = staticmethod(schemas.nothing)
    ANSWER: ClassVar[Schema]
    BODY: ClassVar[Schema | None] = None
    ANSWERS_POST: ClassVar[bool] = False
    ACCEPTED: ClassVar[str | None] = None

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def query(self, req: falcon.Request) -> dict[str, Any]:
        """Return a request's parameters. Raises :class:`exception.BadRequest`."""
        return schemas.read(req.query_string, self.QUERY(self.parts.max_limit))

    @staticmethod
    def check_since(req: falcon.Request, since: Version) -> None:
        """Raise :class:`ApiError` in a microversion that is older than the resource."""
        if req.context.version < since:
            raise ApiError(ErrorCode.NO_SUCH_ADDRESS, f"It is there since microversion {since}.")

    @classmethod
    def documented_query(cls, max_limit: int) -> Mapping[str, Schema]:
        return cls.QUERY(max_limit)

    def next_page(self, req: falcon.Request, marker: str) -> list[dict[str, str]]:
        """Return the links to the next page of a list, which begins after ``marker``."""
        asked = dict(parse.parse_qsl(req.query_string, keep_blank_values=True))
        following = parse.urlencode(asked | {"marker": marker})
        return views.next_page(f"{req.prefix}{parse.quote(req.path)}?{following}")

    def on_head(self, req: falcon.Request, resp: falcon.Response, **params: Any) -> None:
        """Answer as to GET; falcon leaves the body out."""
        self.on_get(req, resp, **params)  # type: ignore[attr-defined]

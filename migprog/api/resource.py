# SPDX-License-Identifier: Apache-2.0
"""What the resources share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeAlias
from urllib import parse

import falcon

from migprog.api import views
from migprog.api.access import Rules
from migprog.api.actions import Actions, Disabled
from migprog.api.waiting import Waiting
from migprog.objects import Store

Application: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What resources are made of.

    ``actions``: how the agent that has a migration is asked to do something about it.
    ``health``: further checks of the service's health, as a WSGI application that answers JSON.
    ``clock`` gives the time with its zone. ``waiting``: those that wait for news.
    """

    store: Store
    health: Application
    max_limit: int
    stale_after_seconds: float
    actions: Actions = field(default_factory=Disabled)
    waiting: Waiting = field(default_factory=lambda: Waiting(0))
    clock: Callable[[], datetime] = _now


class Resource:
    """Something at an address, to be read.

    ``RULES``: the rule of each of its methods, see :mod:`migprog.api.access`.
    """

    RULES: ClassVar[Rules]

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def next_page(self, req: falcon.Request, marker: str) -> list[dict[str, str]]:
        """The links of a list that goes on behind ``marker``: the same question from there on."""
        asked = dict(parse.parse_qsl(req.query_string, keep_blank_values=True))
        following = parse.urlencode(asked | {"marker": marker})
        return views.next_page(f"{req.prefix}{parse.quote(req.path)}?{following}")

    def on_head(self, req: falcon.Request, resp: falcon.Response, **params: Any) -> None:
        """As GET; falcon leaves the body out."""
        self.on_get(req, resp, **params)  # type: ignore[attr-defined]

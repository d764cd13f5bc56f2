# SPDX-License-Identifier: Apache-2.0
"""Compare what a client sees through a proxy with what Nova shows at the same time. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Listing = Iterable[Mapping[str, Any]]
Name = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """What Nova listed before and after a proxy was asked, and what that listed then."""

    at: float
    proxy: str
    before: tuple[Name, ...]
    seen: tuple[Name, ...]
    after: tuple[Name, ...]


def names(listing: Listing) -> tuple[Name, ...]:
    """Return the ``id`` and ``uuid`` of each migration of a list."""
    return tuple((each["id"], each["uuid"]) for each in listing)


def hidden(moments: Iterable[Moment]) -> list[Moment]:
    """The moments at which a client did not see a migration that Nova listed before and after."""
    return [each for each in moments if set(each.before) & set(each.after) - set(each.seen)]


def foreign(moments: Iterable[Moment], nova: Iterable[Name]) -> list[Moment]:
    """The moments at which a client saw a migration by another name than Nova's, or twice; ``nova``
    are the names of all that Nova has ever had."""
    known = set(nova)
    return [
        each
        for each in moments
        if len(set(each.seen)) < len(each.seen) or not set(each.seen) <= known
    ]

# SPDX-License-Identifier: Apache-2.0
"""A drain as the migrations off its host show it: when it began, and how it stands.

Instants are seconds since the epoch.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

# A pause between two migrations that is longer ends a drain.
GAP_SECONDS = 600.0


class Departure(NamedTuple):
    """A migration off the host. ``ended_at``: None while it is in progress, then ``left_seconds``
    are left of it if that is known; ``has_left``: it has completed."""

    server_uuid: str
    started_at: float
    ended_at: float | None
    has_left: bool = False
    left_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a drain stands that began at ``begun_at``. ``done``: which servers have left, and how
    many seconds after its begin; ``started``: how long after it their migrations began, and those
    of ``running``: servers that migrate, with the seconds that are left of each (None: not known).
    ``failed``: servers whose latest migration has failed."""

    begun_at: float
    done: dict[str, float] = field(default_factory=dict)
    running: dict[str, float | None] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()


def began_at(departures: Iterable[Departure], now: float) -> float | None:
    """Return when the drain began that is under way; None if there is none.

    Migrations belong to one drain if there is no longer pause between them than GAP_SECONDS.
    """
    begun: float | None = None
    for each in sorted(departures, key=lambda each: -_end(each)):
        if _end(each) < (now if begun is None else begun) - GAP_SECONDS:
            break
        begun = min(each.started_at, now if begun is None else begun)
    return begun


def _end(departure: Departure) -> float:
    return math.inf if departure.ended_at is None else departure.ended_at


def standing(departures: Iterable[Departure], begun_at: float) -> Standing:
    """Return how a drain stands by the migrations that have started since its begin."""
    done: dict[str, float] = {}
    running: dict[str, float | None] = {}
    started: dict[str, float] = {}
    failed: set[str] = set()
    # The latest migration of a server counts.
    for each in sorted(departures, key=lambda each: each.started_at):
        if each.started_at < begun_at:
            continue
        done.pop(each.server_uuid, None)
        running.pop(each.server_uuid, None)
        started[each.server_uuid] = each.started_at - begun_at
        failed.discard(each.server_uuid)
        if each.ended_at is None:
            running[each.server_uuid] = each.left_seconds
        elif each.has_left:
            done[each.server_uuid] = max(0.0, each.ended_at - begun_at)
        else:
            failed.add(each.server_uuid)
    for each_failed in failed:
        del started[each_failed]
    return Standing(begun_at, done, running, started, frozenset(failed))

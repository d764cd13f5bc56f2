# SPDX-License-Identifier: Apache-2.0
"""What happened according to libvirt and the lab, and what the API showed. Values only.

Times are seconds since the epoch, by the clock of the machine that runs the faults, which no
fault sets.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Ending(enum.StrEnum):
    """How a migration ended, in the words of its record."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One migration. ``stats`` are libvirt's, with its keys and units, of one that has completed;
    None where libvirt gave none. ``error`` is what libvirt said to who asked for the migration, and
    ``was_aborted`` whether that is, that he aborted it."""

    server_uuid: str
    source: str
    destination: str
    began_at: float
    ended_at: float
    ending: Ending
    stats: Mapping[str, Any] | None = None
    error: str | None = None
    was_aborted: bool = False


class Part(enum.StrEnum):
    """The parts that can fail."""

    AGENT = "agent"
    LIBVIRT = "libvirt"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Outage:
    """A part was away, at a host if it is one of a host's. ``kept``: of an agent, what it had on
    disk then."""

    part: Part
    host: str | None
    began_at: float
    ended_at: float
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer of the API: its status (None: there was no answer) and the percentages in it, by
    the UUID of their records."""

    asked_at: float
    answered_at: float
    status: int | None
    percents: Mapping[str, int | None] = field(default_factory=dict)

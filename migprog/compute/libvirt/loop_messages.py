# SPDX-License-Identifier: Apache-2.0
"""Define the messages that the agent's loop gets from a host's libvirt threads and the sender.

All are values. The sender passes on what conductors answer: :class:`Destinations` and
:class:`Expectations`. What libvirt's threads see of a migration is an
:class:`~migprog.core.observation.Observation`; the rest is about servers and the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migprog.core.actions import Refusal
from migprog.core.forecast.expectation import Expectation
from migprog.core.measurement import Failure, Window
from migprog.core.observation import OfServer
from migprog.core.server_facts import ServerFacts


@dataclass(frozen=True, slots=True)
class Connected:
    """libvirt answers; ``node`` is the host name that it reports.

    ``libvirt_version`` and ``hypervisor_version`` as libvirt reports them: major · 10 ** 6 +
    minor · 10 ** 3 + release. ``without_qemu_events``: why QEMU's own events are not available, if
    they were asked for.
    """

    node: str
    libvirt_version: int | None = None
    hypervisor_version: int | None = None
    without_qemu_events: str | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    error: str


@dataclass(frozen=True, slots=True)
class Destinations:
    """The hosts that migrations go to, by the migrations' UUIDs, as a conductor reports them."""

    by_migration: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Expectations:
    """What was known of migrations before they began, by their UUIDs, as a conductor reports it."""

    by_migration: Mapping[str, Expectation]


@dataclass(frozen=True, slots=True)
class HostInventory:
    """The servers that run on the host, and their memory together as far as it is known."""

    servers: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalStats(OfServer):
    """The final statistics of the migration that brought a server here at ``at``, if it has any."""

    stats: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ArrivedServers:
    """Servers on the host that a migration has brought, as it is first looked at."""

    server_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult(OfServer):
    """The result of an action: ``how`` it was done, why it was ``refused``, or libvirt's ``error``.
    ``paused``: the server is now paused until its migration has ended."""

    how: str | None = None
    refused: Refusal | None = None
    error: str | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer(OfServer):
    """libvirt does not report the server's job: another call holds the server's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersAgain(OfServer):
    """libvirt reports the server's job again, or it is not searched any more: ``gone``."""

    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringBegan(OfServer):
    """QEMU has begun to measure the server's dirty rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringEnded(OfServer):
    """The windows that were measured, with the facts of then; or ``failure``, why there are none,
    with libvirt's ``error`` if there is one. See :class:`migprog.core.measurement.Measurement`."""

    windows: tuple[Window, ...] = ()
    facts: ServerFacts = field(default_factory=ServerFacts)
    resident_bytes: int | None = None
    disk_bytes: int | None = None
    downtime_limit_seconds: float | None = None
    failure: Failure | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class OtherAgent:
    """Another agent watches the same hypervisor; ``who``: its process, if the kernel shows it."""

    who: str


Message = (
    Connected
    | Disconnected
    | HostInventory
    | Destinations
    | Expectations
    | ArrivedServers
    | OtherAgent
    | OfServer
)

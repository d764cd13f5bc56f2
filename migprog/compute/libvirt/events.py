# SPDX-License-Identifier: Apache-2.0
"""Messages from a host's libvirt threads to the agent's loop. All are values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migprog.core.actions import Refusal
from migprog.core.forecast.job_sample import Disk
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Phase


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfServer:
    """Something seen of a server (domain) at ``at``, in a monotonic clock's seconds."""

    server_uuid: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(_OfServer):
    """The job statistics of a server, in libvirt's keys; or why there are none.

    ``gone``: libvirt does not know the server any more, or it does not run here; then ``stats`` are
    those of its last job, if libvirt still has them. ``phase`` is what the server's own state shows
    of its migration; ``is_paused``: it was paused when first looked at, for its switchover or for
    any other reason. ``error_code`` is a number of libvirt's virErrorNumber.
    """

    stats: Mapping[str, Any] | None = None
    downtime_limit_seconds: float | None = None
    disks: tuple[Disk, ...] | None = None
    facts: ServerFacts | None = None
    phase: Phase | None = None
    is_paused: bool = False
    gone: bool = False
    error: str | None = None
    error_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration(_OfServer):
    """QEMU begins an iteration over the server's memory, by its own count the ``number``th."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle(_OfServer):
    """libvirt's lifecycle event and its detail, by their numbers in libvirt-domain.h."""

    event: int
    detail: int
    facts: ServerFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(_OfServer):
    """The final statistics of a job that succeeded."""

    stats: Mapping[str, Any]
    facts: ServerFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(_OfServer):
    """An event of a job of the server; perhaps, but not surely, of its migration.

    ``qemu_status``: QEMU's own status of its migration (MigrationStatus in its QAPI).
    """

    qemu_status: str | None = None


@dataclass(frozen=True, slots=True)
class Destinations:
    """The hosts that migrations go to, by the migrations' UUIDs, as a conductor reports them."""

    by_migration: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HostInventory:
    """The servers that run on the host, and their memory together as far as it is known."""

    servers: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalStats(_OfServer):
    """The final statistics of the migration that brought a server here at ``at``, if it has any."""

    stats: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ArrivedServers:
    """Servers on the host that a migration has brought, as it is first looked at."""

    server_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult(_OfServer):
    """The result of an action: ``how`` it was done, why it was ``refused``, or libvirt's ``error``.
    ``paused``: the server is now paused until its migration has ended."""

    how: str | None = None
    refused: Refusal | None = None
    error: str | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer(_OfServer):
    """libvirt does not report the server's job: another call holds the server's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(_OfServer):
    """libvirt reports the server's job again, or it is not searched any more: ``gone``."""

    gone: bool = False


@dataclass(frozen=True, slots=True)
class OtherAgent:
    """Another agent watches the same hypervisor; ``who``: its process, if the kernel shows it."""

    who: str


Message = (
    Connected
    | Disconnected
    | HostInventory
    | Destinations
    | Reading
    | Iteration
    | Lifecycle
    | JobCompleted
    | JobEvent
    | ArrivalStats
    | ArrivedServers
    | ActionResult
    | NoAnswer
    | Answers
    | OtherAgent
)

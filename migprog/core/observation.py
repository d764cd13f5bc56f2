# SPDX-License-Identifier: Apache-2.0
"""What is seen of one server's migration: the input of its monitor, live or from a recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migprog.core import libvirt_abi
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import Disk, JobState
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Phase

# What the source sees of a migration that no poll has found.
DEPARTURES = {
    libvirt_abi.SUSPENDED_MIGRATED,
    libvirt_abi.SUSPENDED_POSTCOPY,
    libvirt_abi.STOPPED_MIGRATED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfServer:
    """Something seen of a server (domain) at ``at``, in a monotonic clock's seconds."""

    server_uuid: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(OfServer):
    """Something that may be of the server's migration. ``facts``: what is known of the server."""

    facts: ServerFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Observation):
    """The job statistics of a server, in libvirt's keys; or why there are none.

    ``gone``: libvirt does not know the server any more, or it does not run here; then ``stats`` are
    those of its last job, if libvirt still has them. ``phase`` is what the server's own state shows
    of its migration; ``is_paused``: it was paused when first looked at, for its switchover or for
    any other reason. ``bandwidth_limit_bytes_per_second``: that of its migrations, read only where
    steering acts. ``vcpu_time_seconds`` is the processor time of all vCPUs together, where it was
    read. ``error_code`` is a number of libvirt's virErrorNumber. ``began_at`` is when a sampler
    began it; None where a search has read it.
    """

    stats: Mapping[str, Any] | None = None
    downtime_limit_seconds: float | None = None
    bandwidth_limit_bytes_per_second: int | None = None
    disks: tuple[Disk, ...] | None = None
    vcpu_time_seconds: float | None = None
    phase: Phase | None = None
    is_paused: bool = False
    gone: bool = False
    error: str | None = None
    error_code: int | None = None
    began_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration(Observation):
    """QEMU begins an iteration over the server's memory, by its own count the ``number``th."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle(Observation):
    """libvirt's lifecycle event and its detail, by their numbers in libvirt-domain.h."""

    event: int
    detail: int

    @property
    def kind(self) -> tuple[int, int]:
        return self.event, self.detail


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCompleted(Observation):
    """The final statistics of a job, of any kind, that succeeded."""

    stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(Observation):
    """An event of a job of the server; perhaps, but not surely, of its migration.

    ``qemu_status``: QEMU's own status of its migration (MigrationStatus in its QAPI).
    """

    qemu_status: str | None = None


def begins(seen: Observation) -> bool:
    """Return whether a server that is not watched is watched from this observation on."""
    match seen:
        case Reading(stats=stats):
            return stats is not None and job_sample.outgoing_job(stats) is not JobState.NONE
        case Iteration():
            return True
        case Lifecycle():
            return seen.kind in DEPARTURES
        case JobCompleted(stats=stats):
            return job_sample.is_outgoing(stats)
    return False


def proves(seen: Observation) -> bool:
    """Return whether it proves a migration. Iterations do not: QEMU saves a server by them, too."""
    return begins(seen) and not isinstance(seen, Iteration)

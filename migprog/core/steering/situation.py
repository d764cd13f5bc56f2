# SPDX-License-Identifier: Apache-2.0
"""What steering knows of a migration at one sample."""

from collections.abc import Callable
from typing import NamedTuple

from migprog.core.forecast import estimate, verdict
from migprog.core.forecast.estimate import Estimate
from migprog.core.forecast.guest_pause import downtime_limit_seconds
from migprog.core.forecast.precopy import PrecopyState
from migprog.core.forecast.verdict import Judgement, Verdict
from migprog.core.status import Phase

# QEMU sends post-copy and several connections together since then.
_MULTIFD_WITH_POST_COPY = 10_001_000
# The downtime needed is the least of so many latest iterations.
LATEST = 4


class Capabilities(NamedTuple):
    """What the agent knows of how a migration was started; None is not known.

    ``qemu_version`` is libvirt's number: 10.1.0 is 10001000.
    ``bandwidth_cap_bytes_per_second`` is a cap that steering may raise.
    """

    post_copy: bool | None = None
    multifd: bool | None = None
    qemu_version: int | None = None
    bandwidth_cap_bytes_per_second: int | None = None

    @property
    def post_copy_is_safe(self) -> bool:
        """Whether nothing is known that forbids post-copy."""
        too_old = self.qemu_version is None or self.qemu_version < _MULTIFD_WITH_POST_COPY
        return self.post_copy is not False and not (self.multifd and too_old)


class Situation(NamedTuple):
    """A migration at ``at``; instants are seconds of one monotonic clock, sizes those of the guest.

    ``watched_since`` is when this agent began to watch it. ``iteration`` is the number of the
    present one, ``starts`` what had to be sent at the latest iteration starts, undisturbed by a
    pause of the guest, as (instant, bytes). ``downtime_limit_is_known``: it was read; else it is
    taken for QEMU's default. ``forecast`` is that with the downtime limit in force;
    ``forecast_with`` returns that with another limit, in seconds.
    ``can_slow_further``: auto-converge can slow the guest more.
    """

    at: float
    started_at: float
    watched_since: float
    sampled_at: float
    phase: Phase
    verdict: Verdict
    downtime_limit_seconds: float
    forecast: Estimate
    forecast_with: Callable[[float], Estimate]
    downtime_limit_is_known: bool = True
    iteration: int | None = None
    starts: tuple[tuple[float, int], ...] = ()
    bytes_per_second: float | None = None
    wire_bytes_per_second: float | None = None
    bandwidth_needed_bytes_per_second: int | None = None
    remaining_bytes: int | None = None
    memory_bytes: int | None = None
    disks_bytes: tuple[int, ...] = ()
    can_slow_further: bool = False
    guest_is_paused: bool = False
    has_host_devices: bool = False
    capabilities: Capabilities = Capabilities()

    @property
    def size_bytes(self) -> int | None:
        """Its memory and its copied disks together."""
        return None if self.memory_bytes is None else self.memory_bytes + sum(self.disks_bytes)

    @property
    def least_start_bytes(self) -> int:
        """The least of the latest iteration starts, of which there is one at least."""
        return min(size for _, size in self.starts[-LATEST:])

    @property
    def known_limit_seconds(self) -> float | None:
        """The downtime limit in force, where it was read."""
        return self.downtime_limit_seconds if self.downtime_limit_is_known else None

    @property
    def elapsed_seconds(self) -> float:
        return max(0.0, self.at - self.started_at)

    @property
    def rest_seconds(self) -> float | None:
        """The time in which what remains can be sent, if nothing is dirtied meanwhile."""
        if self.remaining_bytes is None or not self.bytes_per_second:
            return None
        return self.remaining_bytes / self.bytes_per_second


class Glimpse(NamedTuple):
    """Of a :class:`Situation`, what steering remembers, and what begins a decision."""

    at: float
    phase: Phase
    verdict: Verdict
    iteration: int | None
    starts: tuple[tuple[float, int], ...]
    wire_bytes_per_second: float | None
    downtime_limit_seconds: float
    downtime_limit_is_known: bool
    guest_is_paused: bool
    capabilities: Capabilities


def steered_rate(precopy: PrecopyState) -> float | None:
    """Return the bytes a second on the wire, of disks where no memory has moved."""
    return precopy.wire.bytes_per_second or precopy.disk_bytes_per_second


def starts_of(precopy: PrecopyState) -> tuple[tuple[float, int], ...]:
    """Return the latest iteration starts that no pause of the guest has disturbed."""
    return tuple([(each.at, each.remaining_bytes) for each in precopy.undisturbed])


def situation_of(
    precopy: PrecopyState,
    phase: Phase,
    judgement: Judgement,
    forecast: Estimate,
    at: float,
    watched_since: float,
    capabilities: Capabilities,
    starts: tuple[tuple[float, int], ...],
) -> Situation | None:
    """Return what steering has to know of a monitored migration; None before its first sample.

    ``starts`` is what :func:`starts_of` returns: it changes at an iteration start alone.
    """
    latest = precopy.latest
    if latest is None:
        return None

    def forecast_with(limit_seconds: float) -> Estimate:
        changed = precopy._replace(latest=latest._replace(downtime_limit_seconds=limit_seconds))
        judged = verdict.judge(changed, phase, at, judgement)
        return estimate.forecast(changed, phase, judged.verdict)

    disks = tuple(disk.total_bytes for disk in latest.disks or ())
    if not disks and latest.disk_total_bytes:
        disks = (latest.disk_total_bytes,)
    return Situation(
        at=at,
        started_at=precopy.started_at,
        watched_since=watched_since,
        sampled_at=latest.at,
        phase=phase,
        verdict=judgement.verdict,
        downtime_limit_seconds=downtime_limit_seconds(precopy),
        forecast=forecast,
        forecast_with=forecast_with,
        downtime_limit_is_known=latest.downtime_limit_seconds is not None,
        iteration=latest.memory_iteration,
        starts=starts,
        bytes_per_second=precopy.memory_bytes_per_second,
        wire_bytes_per_second=steered_rate(precopy),
        bandwidth_needed_bytes_per_second=judgement.bandwidth_needed_bytes_per_second,
        remaining_bytes=latest.memory_remaining_bytes,
        memory_bytes=precopy.memory_size_bytes or latest.memory_total_bytes,
        disks_bytes=disks,
        can_slow_further=verdict.auto_converge_goes_on(precopy),
        guest_is_paused=precopy.paused_at is not None,
        has_host_devices=precopy.has_host_devices or latest.vfio_transferred_bytes is not None,
        capabilities=capabilities,
    )

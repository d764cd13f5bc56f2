# SPDX-License-Identifier: Apache-2.0
"""What an operator can bear of a migration, and the ready-made policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from migprog.core.steering.advice import SteeringAction
from migprog.core.steering.nova_schedule import GIB, LEAST_GIB

# libvirt and QEMU take no longer downtime limit (MAX_MIGRATE_DOWNTIME in QEMU's options.h).
MAX_DOWNTIME_SECONDS = 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What may be done to a migration, and what it must achieve.

    ``longest_downtime_seconds``: the highest downtime limit that may be set. ``may``: the actions
    that are allowed. ``deadline_seconds`` counts from the migration's start,
    ``deadline_seconds_per_gib`` is for each GiB of its memory and its copied disks, at least two;
    the earlier of both holds, None is no deadline. ``patience_seconds``: for how long remaining
    memory may stay level before something is done. ``hopeless_factor``: one that needs this many
    times the longest downtime is hopeless.

    ``post_copy_seconds``: post-copy begins only if the remaining memory can be sent within this
    time. ``longest_pause_seconds``: the same for a pause. ``max_bandwidth_bytes_per_second``: up to
    where a bandwidth cap may be raised; None: never.
    """

    longest_downtime_seconds: float
    may: frozenset[SteeringAction]
    patience_seconds: float = 120.0
    deadline_seconds: float | None = None
    deadline_seconds_per_gib: float | None = None
    hopeless_factor: float = 2.0
    post_copy_seconds: float = 120.0
    longest_pause_seconds: float = 10.0
    max_bandwidth_bytes_per_second: int | None = None

    @property
    def may_raise_bandwidth(self) -> bool:
        """Whether a bandwidth cap may be raised at all."""
        is_limited = self.max_bandwidth_bytes_per_second is not None
        return is_limited and SteeringAction.RAISE_BANDWIDTH in self.may

    def deadline_after_seconds(self, size_bytes: int | None) -> float | None:
        """Return the deadline in seconds from the start, for a migration of ``size_bytes``."""
        known = [] if self.deadline_seconds is None else [self.deadline_seconds]
        if self.deadline_seconds_per_gib is not None and size_bytes is not None:
            known.append(self.deadline_seconds_per_gib * max(LEAST_GIB, size_bytes / GIB))
        return min(known, default=None)


POLICIES: Mapping[str, Requirements] = MappingProxyType(
    {
        "gentle": Requirements(
            longest_downtime_seconds=2.0,
            may=frozenset(
                {
                    SteeringAction.RAISE_DOWNTIME,
                    SteeringAction.RAISE_BANDWIDTH,
                    SteeringAction.ABORT,
                }
            ),
        ),
        "finish-by-deadline": Requirements(
            longest_downtime_seconds=5.0,
            deadline_seconds_per_gib=120.0,
            may=frozenset(SteeringAction) - {SteeringAction.STOP_ASSERTING},
        ),
        "post-copy": Requirements(
            longest_downtime_seconds=0.5,
            post_copy_seconds=600.0,
            may=frozenset(
                {
                    SteeringAction.RAISE_DOWNTIME,
                    SteeringAction.RAISE_BANDWIDTH,
                    SteeringAction.POST_COPY,
                    SteeringAction.ABORT,
                }
            ),
        ),
    }
)
# Foretells what nova-compute does; see nova_schedule.py.
NOVA = "nova"
POLICY_NAMES = (NOVA, *POLICIES)

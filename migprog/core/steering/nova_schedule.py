# SPDX-License-Identifier: Apache-2.0
"""What nova-compute itself does about a migration that takes long, and when.

The arithmetic is that of Nova 34: ``downtime_steps`` and ``should_trigger_timeout_action`` in
nova/virt/libvirt/migration.py, ``_live_migration_data_gb`` and ``_live_migration_monitor`` in
nova/virt/libvirt/driver.py. Nova compares the limit only with what it has set itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

GIB = 2**30
# What Nova counts at least, of memory and of each disk: a small server has connections to set up,
# too.
LEAST_GIB = 2.0
ABORT, FORCE_COMPLETE = "abort", "force_complete"


class NovaOptions(NamedTuple):
    """Nova's options of group ``[libvirt]`` without their prefix ``live_migration_``, with Nova's
    defaults: ms, steps, seconds a GiB, seconds a GiB."""

    downtime: int = 500
    downtime_steps: int = 10
    downtime_delay: int = 75
    completion_timeout: int = 800
    timeout_action: str = ABORT
    permit_post_copy: bool = False
    permit_auto_converge: bool = False


class Step(NamedTuple):
    """Nova sets the downtime limit once more than ``after_seconds`` have passed."""

    after_seconds: int
    downtime_ms: int


def data_gib(memory_bytes: int | None, disks_bytes: Sequence[int] = ()) -> float:
    """Return what Nova takes for the size of a migration: GiB, at least 2 for memory and for each
    copied disk."""
    sizes = [memory_bytes or 0, *disks_bytes]
    return sum(max(LEAST_GIB, size / GIB) for size in sizes)


def downtime_steps(options: NovaOptions, gib: float) -> tuple[Step, ...]:
    """Return Nova's schedule of downtime limits; the first is set at once."""
    delay = int(options.downtime_delay * gib)
    base = options.downtime / options.downtime_steps
    offset = (options.downtime - base) / options.downtime_steps
    return tuple(
        Step(int(delay * i), int(base + offset * i)) for i in range(options.downtime_steps + 1)
    )


def completion_timeout_seconds(options: NovaOptions, gib: float) -> int | None:
    """Return after how many seconds Nova takes its timeout action; None if never."""
    return int(options.completion_timeout * gib) or None


def step_in_force(options: NovaOptions, gib: float, elapsed_seconds: float) -> Step | None:
    """Return the step whose limit Nova has set last; None before the first."""
    passed = [s for s in downtime_steps(options, gib) if elapsed_seconds > s.after_seconds]
    return passed[-1] if passed else None


def next_step(options: NovaOptions, gib: float, elapsed_seconds: float) -> Step | None:
    """Return the next step that changes the limit; None after the last."""
    now = step_in_force(options, gib, elapsed_seconds)
    for step in downtime_steps(options, gib):
        is_later = elapsed_seconds <= step.after_seconds
        if is_later and (now is None or step.downtime_ms != now.downtime_ms):
            return step
    return None


def lowers(options: NovaOptions, gib: float, limit_seconds: float) -> Step | None:
    """Return the first later step of Nova's that would lower a limit of ``limit_seconds``."""
    steps = downtime_steps(options, gib)[1:]
    return next((s for s in steps if s.downtime_ms < limit_seconds * 1000), None)

# SPDX-License-Identifier: Apache-2.0
"""How fast a server that does not migrate writes to its memory, as its QEMU measured it.

QEMU samples pages at the beginning and at the end of a window, and counts those that differ: a page
that is written twice in a window counts once. So the bytes dirtied in windows of different length
are points of the curve that the forecast is made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from migprog.core import fields, wire_table
from migprog.core.agent_answer import Reason
from migprog.core.fields import needed, optional

# The windows that are measured, one after the other; libvirt permits 1 to 60 seconds. A load that
# changes shows in windows of the same length.
WINDOWS_SECONDS = (1, 4, 1, 16, 4, 1)
LONGEST_WINDOW_SECONDS = 60
# A measurement has no more windows than this.
MAX_WINDOWS = 8
# Measurements that are not further apart are of the same load.
SAME_LOAD_SECONDS = 900.0
# In one message. A host measures one server at a time, so more wait only after a long outage.
MAX_MEASUREMENTS = 100
_WINDOW_VALUES = 2


@dataclass(frozen=True, slots=True)
class Window:
    """One calculation of the dirty rate: ``dirty_mib_per_second`` is libvirt's
    ``megabytes_per_second``, whole MiB/s."""

    seconds: float
    dirty_mib_per_second: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """The newest measurement of one server; the windows are in ascending order of their length.

    ``measured_at`` is when it ended, in seconds since the epoch. ``memory_bytes``: the guest's
    memory. ``resident_bytes``: its QEMU's resident memory. ``disk_bytes``: the local disks that a
    block migration would copy. None: not known. ``has_host_devices``: devices of the host are
    passed through to it.
    """

    measured_at: float
    windows: tuple[Window, ...]
    memory_bytes: int
    resident_bytes: int | None
    disk_bytes: int | None
    downtime_limit_seconds: float | None
    has_host_devices: bool


def together(newest: Measurement, *older: Measurement) -> Measurement:
    """Return several measurements of one server as one: the facts of the newest, the windows of
    all. The more there are, the less is left to chance."""
    windows = (window for each in (newest, *older) for window in each.windows)
    return replace(newest, windows=tuple(sorted(windows, key=lambda window: window.seconds)))


def newest(measured: Sequence[Measurement]) -> Measurement:
    """Return the newest of a server's measurements, which come first, together with those of the
    same memory that were made shortly before."""
    first, *older = measured
    return together(
        first,
        *(
            each
            for each in older
            if each.memory_bytes == first.memory_bytes
            and 0 <= first.measured_at - each.measured_at <= SAME_LOAD_SECONDS
        ),
    )


class Failure(Reason):
    """Why there is no measurement."""

    DISABLED = (
        "agent-measuring-disabled",
        "measuring is disabled on the server's host: set [compute] allow_measurements = true there",
    )
    NOT_ON_HOST = ("server-not-on-host", "the server does not run on this host")
    NOT_RUNNING = ("server-not-running", "the server is not running")
    MIGRATES = ("server-migrates", "the server migrates")
    JOB_RUNS = ("server-has-job", "another job of the server runs in libvirt")
    MIGRATION_BEGAN = ("migration-began", "a migration of the server began")
    BUSY = ("too-many-measurements", "too many servers of this host wait to be measured")
    LIBVIRT_HANGS = ("libvirt-hangs", "libvirt does not answer an earlier measurement")
    LIBVIRT_FAILED = (
        "measuring-failed",
        "libvirt failed to measure the server; the agent's log has the error",
    )
    TIMED_OUT = ("measuring-timed-out", "libvirt did not measure the server in time")


def windows(value: Any) -> tuple[tuple[float, int], ...]:
    """Return windows, each as its seconds and its MiB/s."""
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_WINDOWS:
        raise ValueError(f"must be a list of 1 to {MAX_WINDOWS} windows")
    return tuple(sorted(_window(each) for each in value))


def _window(value: Any) -> tuple[float, int]:
    if not isinstance(value, list | tuple) or len(value) != _WINDOW_VALUES:
        raise ValueError("must be a list of windows, of each its seconds and its MiB/s")
    # To the millisecond: more digits would make the text that is stored long.
    seconds, rate = round(fields.seconds(value[0]), 3), fields.small_count(value[1])
    if not 0 < seconds <= LONGEST_WINDOW_SECONDS:
        raise ValueError(f"must be windows of up to {LONGEST_WINDOW_SECONDS} seconds")
    return seconds, rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an agent reports of one measurement, by its own ``uuid``: windows, or why there are
    none (one of :class:`Failure`). See :class:`Measurement` for the rest."""

    uuid: str = needed(fields.uuid_text)
    server_uuid: str = needed(fields.uuid_text)
    measured_at: float = needed(fields.seconds)
    windows: tuple[tuple[float, int], ...] | None = optional(windows)
    failure: str | None = optional(fields.word)
    memory_bytes: int | None = optional(fields.count)
    resident_bytes: int | None = optional(fields.count)
    disk_bytes: int | None = optional(fields.count)
    downtime_limit_seconds: float | None = optional(fields.seconds)
    has_host_devices: bool | None = optional(fields.yes_or_no)
    server_name: str | None = optional(fields.text)
    project_id: str | None = optional(fields.text)
    user_id: str | None = optional(fields.text)

    @property
    def is_usable(self) -> bool:
        """Whether it has what a forecast needs, or says why it has not."""
        return bool(self.windows and self.memory_bytes) or self.failure is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server that is to be measured."""

    server_uuid: str = needed(fields.uuid_text)

    def to_wire(self) -> dict[str, Any]:
        """Return a table of one row, see :mod:`migprog.core.wire_table`."""
        return wire_table.write([self])

    @classmethod
    def from_wire(cls, wire: Any) -> Self:
        """Read it. Raises :class:`Malformed`."""
        return wire_table.read_one(cls, wire)

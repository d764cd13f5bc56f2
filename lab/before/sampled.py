# SPDX-License-Identifier: Apache-2.0
"""What QEMU would have measured of a guest whose writing is known: no guest is needed for that."""

import itertools
import random
from collections.abc import Sequence

from lab.corpus.scenario import Segments
from migprog.core.measurement import WINDOWS_SECONDS, Measurement, Window

_MIB = 2**20
# QEMU's 512 pages a GiB; of the video memory, too.
_SAMPLES_A_MIB = 0.5
_VIDEO_MIB = 16
# QEMU's resident memory beside the guest's.
_QEMU_MIB = 36


def measurement(
    rng: random.Random,
    *,
    memory_mib: int,
    fill_mib: int,
    working_set_mib: int,
    segments: Segments,
    disk_mib: int = 0,
    downtime_limit_seconds: float = 0.3,
    windows_seconds: Sequence[int] = WINDOWS_SECONDS,
) -> Measurement:
    """Return a measurement that begins at any time of the guest's segments."""
    at = rng.uniform(0.0, sum(ms for ms, _ in segments) / 1000)
    windows = []
    for seconds in windows_seconds:
        dirtied = min(float(working_set_mib), written_mib(segments, at, seconds))
        windows.append(Window(float(seconds), _shown(rng, memory_mib, dirtied, seconds)))
        at += seconds
    return Measurement(
        measured_at=1_000_000.0,
        windows=tuple(sorted(windows, key=lambda window: window.seconds)),
        memory_bytes=memory_mib * _MIB,
        resident_bytes=(fill_mib + _QEMU_MIB) * _MIB,
        disk_bytes=disk_mib * _MIB,
        downtime_limit_seconds=downtime_limit_seconds,
        has_host_devices=False,
    )


def written_mib(segments: Segments, at: float, seconds: float) -> float:
    """Return what a guest writes in so many seconds from ``at`` on."""
    written, passed = 0.0, 0.0
    until = at + seconds
    for milliseconds, pace in itertools.cycle(segments):
        if passed >= until:
            return written
        ends = passed + milliseconds / 1000
        written += pace * max(0.0, min(ends, until) - max(passed, at))
        passed = ends
    return written


def _shown(rng: random.Random, memory_mib: int, dirtied_mib: float, seconds: int) -> int:
    all_mib = memory_mib + _VIDEO_MIB
    samples = int(all_mib * _SAMPLES_A_MIB)
    differ = sum(rng.random() < dirtied_mib / all_mib for _ in range(samples))
    return int(differ * all_mib // (samples * seconds))

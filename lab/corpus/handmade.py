# SPDX-License-Identifier: Apache-2.0
"""The recordings of what cannot be run here, as it takes hours or a large machine."""

from collections.abc import Iterator

from lab.corpus.arithmetic import Row, rows
from lab.corpus.course import HandmadeCourse, Load

MB = 1e6 / 2**20  # the field case was reported in megabytes
HOUR_S = 3600.0
# Nova's steps: live_migration_downtime 500 ms, in 10 steps, each 75 s a GB of memory apart.
NOVA_STEP_S = 75.0 * 16
NOVA_LIMITS_MS = (50, 51, 53, 56, 61, 71, 89, 122, 182, 295, 500)

COURSES = (
    # Seen in the field: a 17 GB guest; a reading three minutes in finds 2.1 MB left, at the end of
    # an iteration; each from then on leaves 831 MB, until somebody aborts it.
    HandmadeCourse(
        name="field-831-mb-plateau-3.5-hours",
        memory_mib=16_230,
        loads=((0, (Load(400, 687 * MB), Load(20 * MB, 8000 * MB))),),
        bandwidth_mib_s=120 * MB,
        limits_ms=tuple((NOVA_STEP_S * step, ms) for step, ms in enumerate(NOVA_LIMITS_MS)),
        sample_every_s=1,
        sync_s=0.25,
        abort_s=3.5 * HOUR_S,
    ),
    HandmadeCourse(
        name="disk-of-2-tb-for-a-day",
        memory_mib=65536,
        loads=((0, (Load(5, 12000), Load(30, 2))),),
        bandwidth_mib_s=25,
        disk_mib=2_000_000,
        disk_written_mib_s=0.6,
        disk_swing=0.15,
        limits_ms=((0, 500),),
        sample_every_s=30,
        sync_s=0.2,
    ),
    HandmadeCourse(
        name="disk-of-300-gib-then-memory",
        memory_mib=32768,
        loads=((0, (Load(12, 6000), Load(80, 3))),),
        bandwidth_mib_s=40,
        disk_mib=307_200,
        sample_every_s=5,
        sync_s=0.1,
    ),
    # As before, but the memory does not converge: nothing shows that for two hours.
    HandmadeCourse(
        name="disk-of-300-gib-then-stuck",
        memory_mib=32768,
        loads=((0, (Load(12, 6000), Load(200, 1500))),),
        bandwidth_mib_s=40,
        disk_mib=307_200,
        sample_every_s=5,
        sync_s=0.4,
        abort_s=3 * HOUR_S,
    ),
    HandmadeCourse(
        name="hung-poll-for-25-s",
        memory_mib=4096,
        loads=((0, (Load(70, 3000),)),),
        bandwidth_mib_s=100,
        sample_every_s=0.5,
        silent_s=(70.0, 95.0),
        sync_s=0.05,
    ),
    # The first iteration ends, and others begin, while nothing can be read.
    HandmadeCourse(
        name="hung-poll-over-first-boundary",
        memory_mib=2048,
        loads=((0, (Load(35, 1500),)),),
        bandwidth_mib_s=60,
        sample_every_s=0.5,
        silent_s=(25.0, 50.0),
        sync_s=0.05,
    ),
    # What is left is a little more than the pause allows for, for a minute; then the guest calms.
    HandmadeCourse(
        name="late-passes-ten-a-second",
        memory_mib=2048,
        loads=((0, (Load(900, 9), Load(5, 600))), (90, (Load(5, 600),))),
        bandwidth_mib_s=100,
        limits_ms=((0, 50),),
        sample_every_s=0.5,
    ),
    HandmadeCourse(
        name="late-passes-ten-a-second-stuck",
        memory_mib=1024,
        loads=((0, (Load(1200, 11),)),),
        bandwidth_mib_s=110,
        limits_ms=((0, 60),),
        sample_every_s=0.5,
        abort_s=150,
    ),
)


def recordings() -> Iterator[tuple[str, list[Row]]]:
    """Each by its name."""
    for course in COURSES:
        yield course.name, rows(course)

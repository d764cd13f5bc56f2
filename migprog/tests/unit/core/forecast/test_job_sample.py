# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.core.forecast.job_sample import (
    Disk,
    JobState,
    Sample,
    disk_of_block_job,
    from_job_stats,
    outgoing_job,
)

SETUP = {"operation": 5, "type": 2, "time_elapsed": 500, "memory_total": 0, "disk_total": 0}
DISK_COPY = SETUP | {
    "disk_total": 300,
    "disk_processed": 100,
    "disk_remaining": 200,
    "memory_processed": 0,
    "memory_remaining": 0,
    "memory_iteration": 0,
    "memory_dirty_rate": 0,
}
MEMORY = SETUP | {
    "memory_total": 1000,
    "memory_processed": 1200,
    "memory_remaining": 10,
    "memory_iteration": 2,
    "memory_dirty_rate": 3,
    "memory_page_size": 4096,
    "disk_processed": 0,
    "disk_remaining": 0,
    "downtime": 300,
}


@pytest.mark.parametrize(
    ("stats", "state"),
    [
        ({"type": 0}, JobState.NONE),
        ({"operation": 5, "type": 2}, JobState.ACTIVE),
        ({"operation": 5, "type": 1}, JobState.ACTIVE),
        ({"operation": 5, "type": 3}, JobState.COMPLETED),
        ({"operation": 5, "type": 4}, JobState.FAILED),
        ({"operation": 5, "type": 5}, JobState.CANCELLED),
        ({"operation": 5, "type": 99}, JobState.NONE),
        ({"operation": 5}, JobState.NONE),
        ({"operation": 4, "type": 2}, JobState.NONE),  # incoming
        ({"operation": 8, "type": 2}, JobState.NONE),  # a backup
    ],
)
def test_only_outgoing_migrations_count(stats, state):
    assert outgoing_job(stats) is state


def test_a_zero_that_means_unknown_is_never_a_number():
    sample = from_job_stats(SETUP, at=1.0)
    assert sample == Sample(at=1.0, elapsed_seconds=0.5)


def test_memory_is_unknown_while_disks_are_copied():
    sample = from_job_stats(DISK_COPY, at=1.0)
    assert (sample.disk_total_bytes, sample.disk_processed_bytes) == (300, 100)
    assert sample.disk_remaining_bytes == 200
    assert sample.memory_total_bytes is None
    assert sample.memory_processed_bytes is None
    assert sample.memory_remaining_bytes is None
    assert sample.memory_iteration is None
    assert sample.dirty_bytes_per_second is None


def test_disk_remaining_is_zero_without_disks_once_memory_moves():
    sample = from_job_stats(MEMORY, at=1.0)
    assert sample.disk_total_bytes == sample.disk_remaining_bytes == 0
    assert sample.memory_processed_bytes == 1200
    assert sample.dirty_bytes_per_second == 3 * 4096


def test_downtime_is_an_expectation_until_it_is_a_fact():
    running = from_job_stats(MEMORY, at=1.0)
    assert (running.expected_downtime_seconds, running.downtime_seconds) == (0.3, None)
    ended = from_job_stats({k: v for k, v in MEMORY.items() if k != "type"}, at=1.0)
    assert (ended.expected_downtime_seconds, ended.downtime_seconds) == (None, 0.3)


def test_sample_has_device_state_if_libvirt_reports_it():
    assert from_job_stats(MEMORY, 0.0).vfio_transferred_bytes is None
    counted = from_job_stats(MEMORY | {"vfio_data_transferred": 7}, 0.0)
    assert counted.vfio_transferred_bytes == 7


def test_a_block_job_is_the_copy_of_a_disk():
    job = {"type": 2, "cur": 3, "end": 9, "bandwidth": 1000}
    assert disk_of_block_job("vda", job) == Disk("vda", 9, 3, 1000)
    assert disk_of_block_job("vda", job | {"bandwidth": 0}) == Disk("vda", 9, 3, None)


@pytest.mark.parametrize(
    "job", [{}, {"cur": 0, "end": 0}, {"cur": 0, "end": 1}, {"cur": 9, "end": 3}]
)
def test_a_copy_that_is_only_being_begun_is_none(job):
    assert disk_of_block_job("vda", job) is None

# SPDX-License-Identifier: Apache-2.0
"""What moved between two readings, by libvirt's own keys."""

import pytest

from migprog.core.forecast.job_sample import from_job_stats
from migprog.core.forecast.transferred import between

PAGE = 4096
JOB = {"type": 2, "operation": 5, "memory_total": 2**30, "memory_page_size": PAGE}


def sample(at, wire, remaining, iteration=1, **pages):
    stats = {"memory_processed": wire, "memory_remaining": remaining, "memory_iteration": iteration}
    return from_job_stats(JOB | {"memory_normal": 0} | stats | pages, at)


START = sample(0.0, 0, 2**30)


def moved(now, before=START, expansion=None):
    return between(before, now, expansion)


def test_pages_sent_whole_are_the_guests_bytes():
    found = moved(sample(1.0, 1000 * 4104, 2**30 - 1000 * PAGE, memory_normal=1000))
    assert (found.guest_bytes, found.zero_bytes) == (1000 * PAGE, 0)
    assert found.unexplained_bytes == 0


def test_zero_pages_are_counted_separately():
    now = sample(1.0, 9 * 900 + 4104 * 100, 0, memory_normal=100, memory_constant=900)
    found = moved(now)
    assert (found.guest_bytes, found.zero_bytes) == (1000 * PAGE, 900 * PAGE)
    assert found.filled_bytes == 100 * PAGE


def test_thread_compressed_pages_count_by_the_remaining_memory():
    found = moved(sample(1.0, 10**6, 2**30 - 70 * 10**6))
    assert found.guest_bytes == 70 * 10**6
    assert found.uncounted_bytes / found.unexplained_bytes == pytest.approx(70)


def test_pages_over_an_iteration_start_are_as_many_as_lately():
    found = moved(sample(1.0, 10**6, 2**29, iteration=2), expansion=70.0)
    assert found.guest_bytes == pytest.approx(70 * 10**6)


def test_pages_compressed_by_multifd_are_counted_as_normal():
    found = moved(sample(1.0, 10**6, 2**30 - 5000 * PAGE, memory_normal=5000))
    assert found.guest_bytes == 5000 * PAGE


def test_xbzrle_pages_exclude_pages_sent_whole():
    pages = {"memory_normal": 30, "compression_pages": 130, "compression_overflow": 30}
    found = moved(sample(1.0, 30 * 4104 + 100 * 400, 2**30 - 130 * PAGE, **pages))
    assert found.guest_bytes == 130 * PAGE


def test_memory_taken_by_the_balloon_does_not_count_as_sent():
    found = moved(sample(1.0, 1000 * 4104, 2**29, memory_normal=1000))
    assert found.guest_bytes == 1000 * PAGE


def test_state_of_devices_on_the_same_wire_is_no_memory():
    devices = {"vfio_data_transferred": 10**9, "memory_normal": 1000}
    before = from_job_stats(
        JOB | {"memory_processed": 0, "memory_normal": 0, "vfio_data_transferred": 0}, 0.0
    )
    found = moved(sample(1.0, 10**9 + 1000 * 4104, 0, **devices), before)
    assert (found.guest_bytes, found.unexplained_bytes) == (1000 * PAGE, 0)


def test_without_page_counters_the_remaining_memory_is_used():
    stats = {"memory_processed": 10**6, "memory_remaining": 2**30 - 5 * 10**6}
    assert moved(from_job_stats(JOB | stats, 1.0), from_job_stats(JOB, 0.0)) is None
    before = from_job_stats(JOB | {"memory_processed": 0, "memory_remaining": 2**30}, 0.0)
    assert moved(from_job_stats(JOB | stats, 1.0), before).guest_bytes == 5 * 10**6

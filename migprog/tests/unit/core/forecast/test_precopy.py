# SPDX-License-Identifier: Apache-2.0

import pytest

from migprog.core.forecast import precopy, precopy_updates
from migprog.core.forecast.job_sample import Sample

MIB = 2**20


def memory(at, processed, remaining, iteration):
    return Sample(
        at=at,
        memory_total_bytes=100 * MIB,
        memory_processed_bytes=processed * MIB,
        memory_remaining_bytes=remaining * MIB,
        memory_iteration=iteration,
    )


def observed(*samples):
    seen = precopy.PrecopyState(started_at=0.0)
    for sample in samples:
        seen = precopy_updates.observe(seen, sample)
    return seen


def test_first_iteration_may_have_any_number_after_a_cancelled_attempt():
    seen = observed(memory(1, 10, 90, 7), memory(2, 20, 80, 7), memory(3, 30, 25, 8))
    assert seen.first_iteration == 7
    assert seen.first_iteration_bytes == 100 * MIB
    assert [b.iteration for b in seen.iterations] == [8]
    assert precopy.last_iteration_start_bytes(seen) == seen.iterations[0].remaining_bytes


def test_sample_out_of_order_is_ignored():
    seen = observed(memory(1, 10, 90, 1), memory(2, 20, 80, 1))
    assert precopy_updates.observe(seen, memory(1.5, 15, 85, 1)) is seen


def test_rate_is_that_of_the_bytes_moved():
    seen = observed(*(memory(t, 10 * t, 100 - 10 * t, 1) for t in range(1, 10)))
    assert precopy.throughput(seen) == 10 * MIB


def test_uneven_sampling_does_not_change_the_rate():
    times = [0.5, 0.6, 3.0, 3.1, 6.0, 6.5, 9.0]
    seen = observed(*(memory(t, 10 * t, 100 - 10 * t, 1) for t in times))
    assert abs(precopy.throughput(seen) - 10 * MIB) < MIB / 100


def test_state_has_the_instant_of_the_last_moved_byte():
    seen = observed(memory(1, 10, 90, 1), memory(2, 20, 80, 1), memory(9, 20, 80, 1))
    assert seen.moved_at == 2


def disk(at, processed):
    return Sample(
        at=at,
        disk_total_bytes=160 * MIB,
        disk_processed_bytes=processed * MIB,
        disk_remaining_bytes=(160 - processed) * MIB,
    )


def test_disk_rate_is_measured_from_step_to_step():
    # 16 MiB every 2 s, met half a second after the first and then twice between two steps.
    early = observed(disk(0.5, 16), disk(1.0, 16), disk(1.5, 16))
    assert early.disk_bytes_per_second is None
    seen = observed(*(disk(at / 2 + 0.1, 16 * (at // 4)) for at in range(40)))
    assert seen.disk_bytes_per_second == pytest.approx(8 * MIB)


def test_mirrors_in_step_do_not_slow_the_rate_of_the_disk():
    seen = observed(disk(1, 40), disk(2, 100), disk(3, 160), disk(9, 160))
    assert seen.disk_bytes_per_second == pytest.approx(60 * MIB)


def test_iteration_found_late_has_its_bytes_to_send():
    seen = observed(memory(1, 10, 90, 1), memory(2, 20, 80, 1))
    seen = precopy_updates.iteration_begins(seen, 2.5)
    seen = precopy_updates.observe(seen, memory(3, 30, 40, 2))
    assert seen.iterations[-1].at == seen.iteration_started_at == 2.5
    # Half a second of sending at 10 MiB/s, and the first slice that went at once.
    assert seen.iterations[-1].remaining_bytes == 45.5 * MIB


def test_dirtied_bytes_are_the_growth_of_copied_and_remaining():
    seen = observed(copied(1, 10, 90, 1), copied(9, 90, 10, 1), copied(10, 100, 40, 2))
    assert seen.iterations[-1].dirtied_bytes == 40 * MIB
    assert seen.iterations[-1].seconds == 9


def copied(at, copied_mib, remaining, iteration):
    sample = memory(at, copied_mib, remaining, iteration)
    return sample._replace(memory_copied_bytes=copied_mib * MIB)


def test_iteration_is_judged_again_when_bytes_move_faster():
    slow = [memory(t, t, 50, t) for t in range(1, 9)]
    stuck = observed(*slow)
    assert stuck.on_plateau
    assert not stuck.is_faster
    freed = observed(*slow, memory(9, 10, 48, 8), memory(10, 14, 44, 8))
    assert freed.is_faster
    assert not freed.on_plateau


def test_number_of_iterations_kept_is_bounded():
    seen = observed(*(memory(t, t, 5, t) for t in range(1, 500)))
    assert len(seen.iterations) == precopy_updates.MAX_ITERATIONS
    assert seen.first_iteration == 1


def test_job_that_is_being_ended_keeps_its_state():
    seen = observed(memory(1, 10, 90, 1))
    assert precopy_updates.observe(seen, Sample(at=2)) is seen

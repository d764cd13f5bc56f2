# SPDX-License-Identifier: Apache-2.0
"""What the processor time of a guest's vCPUs says about what it will send again."""

import pytest

from migprog.core.forecast import vcpu_time
from migprog.core.forecast.job_sample import Sample
from migprog.core.forecast.resent import Resent, ResentShares
from migprog.core.monitor import Monitor
from migprog.core.server_facts import ServerFacts

MIB = 2**20
UUID = "2f0e2c9e-8f0f-4a67-9a3e-0d7f6f1c6a10"
RATE = 100.0 * MIB
UNKNOWN = Resent()


def used(share, seconds=20.0, first_at=0.0):
    """The processor time of vCPUs that use this share of a processor."""
    known = None
    for at in (first_at, first_at + seconds / 3, first_at + seconds):
        known = vcpu_time.observe(known, Sample(at, vcpu_time_seconds=50.0 + share * at))
    return known


def expected(share, resent=UNKNOWN, rate=RATE, **times):
    return vcpu_time.limited(resent, used(share, **times), 0.0, rate)


def test_an_idle_guest_is_expected_to_send_little_again():
    found = expected(0.005)
    assert found.most <= 0.14 and found.likely <= found.most and found.least == 0.0
    assert found.is_known


@pytest.mark.parametrize("share", [0.06, 0.5, 16.0])
def test_a_busy_guest_is_expected_to_do_as_any_other(share):
    assert expected(share) == Resent()


def test_a_guest_that_uses_more_is_expected_to_send_more():
    most = [expected(share).most for share in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08)]
    assert most == sorted(most) and most[-1] == Resent().most


def test_the_same_guest_has_less_to_send_again_where_more_is_sent_a_second():
    assert expected(0.03, rate=10 * RATE).most < expected(0.03).most
    assert expected(0.005, rate=RATE / 10) == Resent()


def test_a_guest_that_was_observed_for_a_short_time_is_less_known():
    assert expected(0.0, seconds=1.0, first_at=20.0).most > 0.5
    assert expected(0.0, seconds=60.0, first_at=20.0).most < 0.2


def test_nothing_is_known_of_vcpus_that_were_not_read_or_read_once():
    once = vcpu_time.observe(None, Sample(1.0, vcpu_time_seconds=50.0))
    assert vcpu_time.limited(Resent(), None, 0.0, RATE) == Resent()
    assert vcpu_time.limited(Resent(), once, 0.0, RATE) == Resent()
    assert vcpu_time.observe(once, Sample(2.0)) == once


def test_time_that_goes_back_begins_a_new_measurement():
    """A vCPU was removed, with what it had used."""
    before = used(0.9)
    after = vcpu_time.observe(before, Sample(21.0, vcpu_time_seconds=3.0))
    assert after.dirtied_bytes_per_second() is None


def test_what_a_server_has_sent_again_itself_is_not_limited():
    own = Resent.known(0.5)
    assert expected(0.0, own) == own
    shares = ResentShares().after("own", 0.5)
    assert expected(0.0, shares.expected("own")) == own


def test_what_other_servers_have_sent_again_is_limited():
    busy_others = Resent(0.4, 0.5, 0.55)
    assert expected(0.005, busy_others).most <= 0.14
    quiet_others = Resent(0.0, 0.01, 0.05)
    assert expected(0.03, quiet_others) == quiet_others


def percents(vcpu_share, **facts):
    """The percentage of a guest of 1000 MiB at 100 MiB/s, in its first iteration; by second."""
    monitor = Monitor(UUID, UUID, 0.0)
    monitor.learn(ServerFacts(memory_size_bytes=1000 * MIB, **facts))
    found = []
    for at in range(1, 10):
        stats = {
            "type": 2,
            "operation": 5,
            "time_elapsed": at * 1000,
            "memory_total": 1000 * MIB,
            "memory_processed": at * 100 * MIB,
            "memory_remaining": (1000 - at * 100) * MIB,
            "memory_normal": at * 100 * 256,
            "memory_constant": 0,
            "memory_page_size": 4096,
            "memory_iteration": 1,
        }
        seconds = None if vcpu_share is None else 50.0 + vcpu_share * at
        monitor.read(stats, 0.3, float(at), None, seconds)
        monitor.judge(float(at))
        found.append(monitor.preview(float(at), float(at)).percent)
    return found


def test_percent_of_an_idle_guest_follows_it_through_the_first_iteration():
    unknown, idle = percents(None), percents(0.001)
    assert unknown[-1] < 70
    assert idle[-1] > 80


def test_percent_of_a_busy_guest_is_as_without_its_processor_time():
    assert percents(0.5) == percents(None)


def test_percent_of_a_guest_with_devices_of_the_host_is_as_without_its_processor_time():
    """They write to its memory by themselves."""
    assert percents(0.001, has_host_devices=True) == percents(None)

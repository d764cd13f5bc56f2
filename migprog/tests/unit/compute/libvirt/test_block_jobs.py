# SPDX-License-Identifier: Apache-2.0
"""When block jobs are read: no more than is due, no longer than a round may take."""

import pytest

from migprog.compute.libvirt.block_jobs import BlockJobs
from migprog.core.forecast.job_sample import Disk

DISKS = {"disk_total": 2**30, "memory_total": 0}
MEMORY = {"disk_total": 2**30, "memory_total": 2**30}


class Libvirt:
    """What libvirt would say, by a clock that its calls move."""

    def __init__(self, names=("vda", "vdb"), seconds=0.001):
        self.now = 0.0
        self.calls = []
        self.copied = 100
        self.fails = False
        self.names = names
        self.seconds = seconds
        self.jobs = BlockJobs(lambda: self.now)

    def targets(self):
        return self.names

    def block_job(self, name):
        self.calls.append(name)
        self.now += self.seconds
        if self.fails:
            return None
        if name == "cd":
            return {}
        return {"type": 2, "cur": self.copied, "end": 1000, "bandwidth": 0}

    def read(self, after=0.0):
        self.now += after
        self.calls.clear()
        return self.jobs.read(self.targets, self.block_job)


def test_nothing_is_read_unless_disks_are_copied():
    libvirt = Libvirt()
    libvirt.jobs.take(MEMORY)
    assert libvirt.read() is None
    assert libvirt.calls == []


def test_each_disk_with_a_copy_is_read():
    libvirt = Libvirt(("vda", "cd", "vdb"))
    libvirt.jobs.take(DISKS)
    assert libvirt.read() == (Disk("vda", 1000, 100), Disk("vdb", 1000, 100))


def test_they_are_read_once_a_second_and_once_more_as_memory_begins():
    libvirt = Libvirt()
    libvirt.jobs.take(DISKS)
    libvirt.read()
    libvirt.read(after=0.3)
    assert libvirt.calls == []
    libvirt.read(after=0.7)
    assert libvirt.calls == ["vda", "vdb"]
    libvirt.jobs.take(MEMORY)
    libvirt.copied = 1000
    assert [disk.remaining_bytes for disk in libvirt.read(after=0.1)] == [0, 0]
    libvirt.jobs.take(MEMORY)
    libvirt.read(after=5.0)
    assert libvirt.calls == []


def test_slow_calls_are_made_seldom_and_take_no_longer_than_a_round():
    libvirt = Libvirt(tuple(f"vd{n}" for n in range(20)), seconds=0.3)
    libvirt.jobs.take(DISKS)
    assert len(libvirt.read()) == 4
    assert libvirt.now == pytest.approx(1.2)
    libvirt.read(after=20.0)
    assert libvirt.calls == []


def test_there_is_a_bound_on_the_disks():
    libvirt = Libvirt(tuple(f"vd{n}" for n in range(100)))
    libvirt.jobs.take(DISKS)
    assert len(libvirt.read()) == 32


def test_failed_call_ends_the_round_and_keeps_the_known_values():
    libvirt = Libvirt(("vda", "vdb"))
    libvirt.jobs.take(DISKS)
    libvirt.read()
    libvirt.copied = 200
    libvirt.fails = True
    assert libvirt.read(after=2.0) == (Disk("vda", 1000, 100), Disk("vdb", 1000, 100))

# SPDX-License-Identifier: Apache-2.0
"""When the processor time of a server's vCPUs is read."""

import pytest

from migprog.compute.libvirt.vcpu_time import VcpuTimes

ACTIVE = {"type": 2, "operation": 5}


class Server:
    """A server whose vCPUs use half of the time; each call takes ``took`` seconds."""

    def __init__(self, took=0.0, fails=False):
        self.now = 0.0
        self.took = took
        self.fails = fails
        self.times = VcpuTimes(lambda: self.now)
        self.calls = []

    def vcpu_time(self):
        self.calls.append(self.now)
        self.now += self.took
        return None if self.fails else self.now / 2

    def poll(self, until, stats=ACTIVE, every=0.5):
        """Read it at each poll; return what was read."""
        found = []
        while self.now < until:
            due = self.now + every
            found.append(self.times.read(stats, self.vcpu_time))
            self.now = max(due, self.now)
        return found


def test_processor_time_is_read_with_the_first_reading_and_then_each_second():
    server = Server()
    assert server.poll(3.0) == [0.0, None, 0.5, None, 1.0, None]


def test_processor_time_is_read_less_often_as_a_migration_lasts():
    server = Server()
    server.poll(3600.0)
    assert server.calls[-1] > 3400.0
    assert len(server.calls) < 150


def test_slow_calls_take_a_twentieth_of_the_time_at_most():
    server = Server(took=1.0)
    server.poll(100.0)
    assert len(server.calls) == 5


@pytest.mark.parametrize("first", [1, 4])
def test_processor_time_is_read_until_the_second_iteration(first):
    server = Server()
    server.poll(2.0)
    server.poll(4.0, ACTIVE | {"memory_iteration": first})
    assert server.calls[-1] == 3.0
    server.poll(6.0, ACTIVE | {"memory_iteration": first + 1})
    assert server.calls[-1] == 3.0


@pytest.mark.parametrize("stats", [{"type": 0}, {"type": 2, "operation": 2}])
def test_processor_time_of_a_server_that_does_not_migrate_is_not_read(stats):
    server = Server()
    assert server.poll(2.0, stats) == [None] * 4
    assert server.calls == []


def test_processor_time_is_not_read_again_after_a_failure():
    server = Server(fails=True)
    assert server.poll(5.0) == [None] * 10
    assert server.calls == [0.0]

# SPDX-License-Identifier: Apache-2.0
"""One server as libvirt shows it, by objects that answer as libvirt-python's do."""

import time

import libvirt
import pytest

from lab import fake_libvirt
from migprog.compute.libvirt import domain_reader
from migprog.compute.libvirt.block_jobs import BlockJobs
from migprog.compute.libvirt.job_queries import Lock
from migprog.compute.libvirt.vcpu_time import VcpuTimes
from migprog.tests.fixtures.driven import SERVER

ACTIVE = {"type": 2, "operation": 5, "time_elapsed": 2000, "memory_total": 2**20}
FAILED = {"type": 4, "operation": 5, "time_elapsed": 0, "memory_total": 0}


class Domain(fake_libvirt.Domain):
    """Of two vCPUs the first has not run; ``cpu_nanoseconds``: None where libvirt has no times."""

    def __init__(self, stats, control=(0, 0, 0), domain_state=(1, 1), cpu_nanoseconds=None):
        super().__init__(SERVER, domain_state=domain_state)
        self.job_stats = stats
        self.control = list(control)
        self.cpu_nanoseconds = cpu_nanoseconds
        self.vcpus_asked = 0

    def vcpus(self):
        self.vcpus_asked += 1
        if self.cpu_nanoseconds is None:
            raise libvirt.libvirtError("cpu affinity is not supported")
        return [(0, 1, 0, 0), (2, 1, self.cpu_nanoseconds, 1)], [(True,), (True,)]

    def jobStats(self, _flags=0):
        return self.job_stats

    def controlInfo(self):
        if self.control == [-1]:
            raise libvirt.libvirtError("Domain not found")
        return self.control


class Connection(fake_libvirt.Connection):
    def __init__(self, domain):
        super().__init__()
        self.domain = domain
        self.resident_asked = 0

    def lookupByUUIDString(self, _uuid):
        return self.domain

    def domainListGetStats(self, _domains, stats, flags):
        assert flags == libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        # For others libvirt asks QEMU, which may hang.
        assert stats == libvirt.VIR_DOMAIN_STATS_BALLOON
        self.resident_asked += 1
        return [(self.domain, {"balloon.rss": 2048})]


def when():
    """What decides when the copies of disks and the vCPUs are read."""
    return BlockJobs(time.monotonic), VcpuTimes(time.monotonic)


def test_renamed_server_has_its_new_name_at_the_start_of_a_migration():
    domain = Domain(ACTIVE)
    connection = Connection(domain)
    seen = domain_reader.Reader()
    seen.learn(domain, SERVER)
    domain.name = "shop"
    seen.begin(SERVER, left=False)
    for _ in range(2):
        reading = seen.read(connection, SERVER, *when())
        assert reading.facts.server_name == "shop"
        assert reading.facts.memory_resident_bytes == 2048 * 1024
    assert connection.resident_asked == 1


def test_a_server_with_another_job_is_asked_for_nothing_more():
    connection = Connection(Domain({"type": 2, "operation": 2}))
    seen = domain_reader.Reader()
    seen.begin(SERVER, left=False)
    stats = seen.read(connection, SERVER, *when()).stats
    assert stats == {"type": 2, "operation": 2}
    assert seen.find(connection, connection.domain, SERVER) is None
    assert connection.resident_asked == 0


def test_reader_reads_changeable_facts_again():
    domain = Domain(ACTIVE)
    seen = domain_reader.Reader()
    seen.learn(domain, SERVER)
    domain.name = "shop"
    seen.learn(domain, SERVER)
    assert seen.facts[SERVER].server_name == "web"
    seen.forget(SERVER)
    seen.learn(domain, SERVER)
    assert seen.facts[SERVER].server_name == "shop"


def test_migration_that_has_just_failed_is_found_with_its_duration():
    domain = Domain(FAILED, control=(libvirt.VIR_DOMAIN_CONTROL_JOB, 0, 60_000))
    seen = domain_reader.Reader()
    assert seen.find(Connection(domain), domain, SERVER).stats == FAILED
    seen.lock(domain)
    assert seen.find(Connection(domain), domain, SERVER).stats["time_elapsed"] >= 60_000
    assert seen.find(Connection(domain), domain, SERVER).stats == FAILED


@pytest.mark.parametrize(
    ("control", "lock"),
    [
        ((libvirt.VIR_DOMAIN_CONTROL_OK, 0, 0), Lock.FREE),
        ((libvirt.VIR_DOMAIN_CONTROL_JOB, 0, 9), Lock.JOB),
        ((libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, 0, 9), Lock.HELD),
        ((libvirt.VIR_DOMAIN_CONTROL_ERROR, 0, 0), Lock.HELD),
        ((-1,), Lock.FREE),
    ],
)
def test_whether_a_server_s_lock_is_held(control, lock):
    assert domain_reader.Reader().lock(Domain(ACTIVE, control=control)) is lock


PAUSED_MIGRATION = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
MINUTE_NANOSECONDS = 60 * 10**9


def left_by_an_agent_before(stands, cpu_nanoseconds):
    """What is read first of a server whose migration an agent before has left."""
    domain = Domain(ACTIVE, domain_state=stands, cpu_nanoseconds=cpu_nanoseconds)
    seen = domain_reader.Reader()
    seen.begin(SERVER, left=True)
    return seen.read(Connection(domain), SERVER, *when())


def test_a_server_that_was_paused_while_it_migrates_is_read_by_the_next_agent():
    reading = left_by_an_agent_before(PAUSED_MIGRATION, MINUTE_NANOSECONDS)
    assert (reading.stats, reading.is_paused) == (ACTIVE, True)


def test_a_server_that_comes_back_is_not_asked_for_its_job():
    # Its state is the same, but it has not run here.
    reading = left_by_an_agent_before(PAUSED_MIGRATION, 0)
    assert (reading.stats, reading.gone) == (None, False)
    assert "arrives here" in reading.error


@pytest.mark.parametrize(
    ("stands", "cpu_nanoseconds", "arrives"),
    [
        ((libvirt.VIR_DOMAIN_RUNNING, 1), 0, False),
        (PAUSED_MIGRATION, 0, True),
        # The clock has counted once as its thread was started; a small guest that has run a little.
        (PAUSED_MIGRATION, 10_000_000, True),
        (PAUSED_MIGRATION, 30_000_000, False),
        (PAUSED_MIGRATION, MINUTE_NANOSECONDS, False),
        ((libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER), MINUTE_NANOSECONDS, False),
        ((libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY), 0, False),
        ((libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY), 0, True),
        (
            (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY),
            MINUTE_NANOSECONDS,
            True,
        ),
    ],
)
def test_which_servers_are_being_received(stands, cpu_nanoseconds, arrives):
    domain = Domain(ACTIVE, cpu_nanoseconds=cpu_nanoseconds)
    assert domain_reader.arrives(domain, stands) is arrives


def test_a_server_that_a_search_finds_paused_is_known_to_be():
    domain = Domain(ACTIVE)
    seen = domain_reader.Reader()
    assert seen.find(Connection(domain), domain, SERVER, PAUSED_MIGRATION).is_paused
    assert not seen.find(Connection(domain), domain, SERVER, (1, 1)).is_paused


def test_processor_time_is_that_of_all_vcpus_together():
    domain = Domain(ACTIVE, cpu_nanoseconds=1_250_000_000)
    reading = domain_reader.Reader().read(Connection(domain), SERVER, *when())
    assert (reading.stats, reading.vcpu_time_seconds) == (ACTIVE, 1.25)


def test_reading_without_processor_time_is_as_before_and_asks_no_more():
    domain = Domain(ACTIVE)
    times = when()
    for _ in range(3):
        reading = domain_reader.Reader().read(Connection(domain), SERVER, *times)
        assert (reading.stats, reading.vcpu_time_seconds, reading.error) == (ACTIVE, None, None)
    assert domain.vcpus_asked == 1

# SPDX-License-Identifier: Apache-2.0
"""One server as libvirt tells of it, by objects that answer as libvirt-python's do."""

import time

import libvirt
import pytest

from migprog.compute import reader
from migprog.compute.asking import Lock
from migprog.compute.block_jobs import BlockJobs
from migprog.tests.fixtures.driven import SERVER

ACTIVE = {"type": 2, "operation": 5, "time_elapsed": 2000, "memory_total": 2**20}
FAILED = {"type": 4, "operation": 5, "time_elapsed": 0, "memory_total": 0}


class Domain:
    def __init__(self, stats, name="web", control=(0, 0, 0)):
        self.stats = stats
        self.name = name
        self.control = list(control)

    def UUIDString(self):
        return SERVER

    def XMLDesc(self):
        return f"<domain><name>{self.name}</name><memory>1024</memory></domain>"

    def jobStats(self, _flags=0):
        return self.stats

    def controlInfo(self):
        if self.control == [-1]:
            raise libvirt.libvirtError("Domain not found")
        return self.control

    def migrateGetMaxDowntime(self):
        return 300


class Connection:
    def __init__(self, domain):
        self.domain = domain
        self.resident_asked = 0

    def lookupByUUIDString(self, _uuid):
        return self.domain

    def domainListGetStats(self, _domains, _stats, _flags):
        self.resident_asked += 1
        return [(self.domain, {"balloon.rss": 2048})]


def test_a_server_that_was_renamed_has_its_new_name_when_its_migration_begins():
    domain = Domain(ACTIVE)
    connection = Connection(domain)
    seen = reader.Reader()
    seen.learn(domain, SERVER)
    domain.name = "shop"
    seen.begin(SERVER, left=False)
    for _ in range(2):
        reading = seen.read(connection, SERVER, BlockJobs(time.monotonic))
        assert reading.facts.server_name == "shop"
        assert reading.facts.memory_resident_bytes == 2048 * 1024
    assert connection.resident_asked == 1


def test_a_server_with_another_job_is_asked_for_nothing_more():
    connection = Connection(Domain({"type": 2, "operation": 2}))
    seen = reader.Reader()
    seen.begin(SERVER, left=False)
    stats = seen.read(connection, SERVER, BlockJobs(time.monotonic)).stats
    assert stats == {"type": 2, "operation": 2}
    assert seen.find(connection, connection.domain, SERVER) is None
    assert connection.resident_asked == 0


def test_what_may_have_changed_is_read_again():
    domain = Domain(ACTIVE)
    seen = reader.Reader()
    seen.learn(domain, SERVER)
    domain.name = "shop"
    seen.learn(domain, SERVER)
    assert seen.facts[SERVER].server_name == "web"
    seen.forget(SERVER)
    seen.learn(domain, SERVER)
    assert seen.facts[SERVER].server_name == "shop"


def test_a_migration_that_has_just_failed_is_found_with_the_time_that_it_took():
    domain = Domain(FAILED, control=(libvirt.VIR_DOMAIN_CONTROL_JOB, 0, 60_000))
    seen = reader.Reader()
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
    assert reader.Reader().lock(Domain(ACTIVE, control=control)) is lock

# SPDX-License-Identifier: Apache-2.0
"""The processor time of a migrating server's vCPUs, as a real libvirt gives it."""

import contextlib
import signal
import threading

import libvirt
import pytest

from lab.hosts import Guest, LabError
from lab.parts import processes
from migprog.compute.libvirt import domain_reader
from migprog.compute.libvirt.job_queries import Lock

pytestmark = pytest.mark.functional
# libvirt's own deadline for a job's lock is 30 s.
_PATIENCE_SECONDS = 10.0
_PAUSED = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)


@pytest.fixture
def migrating(lab):
    """A server amid its migration, whose vCPU is busy."""
    source, destination = lab.hosts
    guest = Guest("vcpus", 64, 48, 16, segments=((1000, 16.0),), words_per_page=1024)
    server = lab.start_guest(source, guest)
    migration = lab.migrate(server, source, destination, bandwidth_mib_s=2)
    migration.wait_for(lambda stats: stats.get("memory_total"))
    yield source, server
    with contextlib.suppress(libvirt.libvirtError, LabError):
        migration.abort()
    migration.wait()
    lab.destroy_guest(server)


def in_time(call):
    """Return what ``call`` returns; fail if it takes long."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    assert found, "it hangs"
    return found[0]


def test_processor_time_is_read_while_qemu_hangs_and_a_job_holds_the_lock(migrating):
    source, server = migrating
    with source.connect_read_only() as connection, source.connect_read_only() as other:
        domain = connection.lookupByUUIDString(server.uuid)
        first = domain_reader.vcpu_time_seconds(domain)
        assert first > 0
        # It grows while the migration runs.
        processes.wait_for(
            lambda: domain_reader.vcpu_time_seconds(domain) > first, 30.0, "more processor time"
        )
        source.signal_guest(server.name, signal.SIGSTOP)
        try:
            # Before anything holds its lock: what asks QEMU hangs.
            assert in_time(lambda: domain_reader.vcpu_time_seconds(domain)) > first
            assert in_time(lambda: domain_reader.arrives(domain, _PAUSED)) is False
            hangs = other.lookupByUUIDString(server.uuid)
            holder = threading.Thread(target=hangs.jobStats, daemon=True)
            holder.start()
            reader = domain_reader.Reader()
            processes.wait_for(
                lambda: reader.lock(domain) is not Lock.FREE, 10.0, "the lock to be held"
            )
            assert in_time(lambda: domain_reader.vcpu_time_seconds(domain)) > first
            assert holder.is_alive()
        finally:
            source.signal_guest(server.name, signal.SIGCONT)
        holder.join(30.0)

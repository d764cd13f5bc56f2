# SPDX-License-Identifier: Apache-2.0
"""When QEMU is asked to measure, and when not: with a domain of ours, whose states nothing real can
be made to have. With real ones: ``functional/test_before.py``."""

import libvirt
import pytest

from migprog.compute.libvirt.dirty_rate import DirtyRateMeasurement
from migprog.compute.libvirt.loop_messages import MeasuringBegan
from migprog.concurrency import Inbox
from migprog.core.measurement import Failure, Window
from migprog.tests import inboxes

SERVER = "00000000-0000-0000-0000-000000000001"
_RUNS = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED)
_NO_JOB = {"type": libvirt.VIR_DOMAIN_JOB_NONE}
_MIGRATES = {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "operation": 5}
_SAVES = {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "operation": 3}
_XML = "<domain><memory unit='MiB'>512</memory><devices/></domain>"


def _error(code):
    # Otherwise the text is that of the last error in this thread, whichever test caused it.
    libvirt.virResetLastError()
    error = libvirt.libvirtError("no")
    error.err = (code, *[None] * 8)
    return error


class Domain:
    """``jobs``: the job at each look, the last for ever; ``results``: the MiB/s by window."""

    def __init__(self, results=(), jobs=(_NO_JOB,), state=_RUNS, control=0, error=None):
        self.results, self._jobs, self._state = dict(results), list(jobs), state
        self._control, self._error = control, error
        self.started = []
        self.closed = False

    def setKeepAlive(self, *_interval):
        pass

    def lookupByUUIDString(self, _uuid):
        return self

    def close(self):
        self.closed = True

    def state(self):
        return list(self._state)

    def controlInfo(self):
        return [self._control, 0, 0]

    def jobStats(self):
        return self._jobs.pop(0) if len(self._jobs) > 1 else self._jobs[0]

    def XMLDesc(self):
        return _XML

    def vcpus(self):
        return [(0, 1, 10**9, 0)], []

    def migrateGetMaxDowntime(self):
        return 300

    def startDirtyRateCalc(self, seconds):
        if self._error is not None:
            raise self._error
        self.started.append(seconds)

    def domainListGetStats(self, _domains, _kinds, flags):
        assert flags == libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        stats = {"balloon.rss": 1024}
        if self.started and self.started[-1] in self.results:
            stats |= {
                "dirtyrate.calc_status": libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED,
                "dirtyrate.calc_period": self.started[-1],
                "dirtyrate.megabytes_per_second": self.results[self.started[-1]],
            }
        return [(self, stats)]


@pytest.fixture
def measure():
    """Measures a domain; gives all that is sent until the end."""
    inbox = Inbox()

    def run(domain, windows=(0.01, 0.02), cancel=False):
        measurement = DirtyRateMeasurement(lambda: domain, SERVER, windows, inbox)
        if cancel:
            measurement.cancel()
        measurement.start()
        seen: list[object] = []
        while not seen or isinstance(seen[-1], MeasuringBegan):
            seen += inboxes.take(inbox)
        return seen

    yield run
    inbox.close()


def test_windows_are_measured_one_after_the_other_and_the_connection_is_closed(measure):
    domain = Domain({0.01: 22, 0.02: 18})
    began, ended = measure(domain)
    assert isinstance(began, MeasuringBegan)
    assert ended.windows == (Window(0.01, 22), Window(0.02, 18))
    assert (ended.failure, ended.resident_bytes, ended.disk_bytes) == (None, 2**20, 0)
    assert ended.facts.memory_size_bytes == 512 * 2**20
    assert ended.downtime_limit_seconds == 0.3
    assert domain.started == [0.01, 0.02]
    assert domain.closed


@pytest.mark.parametrize(
    ("domain", "failure"),
    [
        (Domain(jobs=(_MIGRATES,)), Failure.MIGRATES),
        (Domain(jobs=(_SAVES,)), Failure.JOB_RUNS),
        (Domain(state=(libvirt.VIR_DOMAIN_PAUSED, 1)), Failure.NOT_RUNNING),
        (Domain(state=(libvirt.VIR_DOMAIN_SHUTOFF, 1)), Failure.NOT_RUNNING),
        # It arrives here by post-copy.
        (
            Domain(state=(libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY)),
            Failure.NOT_RUNNING,
        ),
        # Another call holds its lock: the next one would wait.
        (Domain(control=libvirt.VIR_DOMAIN_CONTROL_JOB), Failure.JOB_RUNS),
        (Domain(control=libvirt.VIR_DOMAIN_CONTROL_OCCUPIED), Failure.JOB_RUNS),
    ],
)
def test_nothing_is_started_on_a_server_that_is_busy(measure, domain, failure):
    (ended,) = measure(domain)
    assert (ended.failure, domain.started) == (failure, [])
    assert domain.closed


def test_nothing_more_is_started_once_a_job_runs(measure):
    domain = Domain({0.01: 22, 0.02: 18}, jobs=(_NO_JOB, _MIGRATES))
    _, ended = measure(domain)
    assert (ended.failure, ended.windows) == (Failure.MIGRATION_BEGAN, ())
    assert domain.started == [0.01]


def test_cancelled_measurement_ends_within_its_window(measure):
    domain = Domain()
    seen = measure(domain, windows=(60,), cancel=True)
    assert seen[-1].failure is Failure.MIGRATION_BEGAN
    assert domain.started == [60]


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, Failure.JOB_RUNS),
        (libvirt.VIR_ERR_NO_DOMAIN, Failure.NOT_ON_HOST),
        (libvirt.VIR_ERR_OPERATION_FAILED, Failure.LIBVIRT_FAILED),
    ],
)
def test_error_of_libvirt_is_a_failure(measure, code, failure):
    (ended,) = measure(Domain(error=_error(code)))
    assert (ended.failure, ended.error) == (failure, "no")

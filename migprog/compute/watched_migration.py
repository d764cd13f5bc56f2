# SPDX-License-Identifier: Apache-2.0
"""One watched migration: its monitor, its sampler, its recording and its log."""

import dataclasses
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from migprog.compute.libvirt.sampler import Sampler
from migprog.compute.migration_log import MigrationLog
from migprog.compute.settings import Settings
from migprog.core import libvirt_abi
from migprog.core.duration import describe
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import JobState
from migprog.core.monitor import Monitor
from migprog.core.observation import Iteration, JobEvent, Observation, Reading
from migprog.core.reminders import Reminders
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Status
from migprog.recording.writer import MigrationRecording

LOG = logging.getLogger(__name__)
# A server that was paused or switched over may be here without a job for so long.
_LOST_EVENT_SECONDS = 10.0


@dataclass(slots=True)
class WatchedMigration:
    """``next_poll_at``: when its next reading is due; infinite until :meth:`ask` has set it.
    ``judge_at``: when to assess it if nothing is seen before.

    ``is_proven``: that it is a migration; nothing is reported of it before. ``drop_at``: when to
    forget a candidate, unless it is proven by then. ``hang``: calls that have not returned, or have
    only timed out. ``answered_at``: when the latest call returned that did not only time out.
    ``jobless_at``: since when it has no job.
    ``bandwidth_limit_bytes_per_second``: by the latest reading.
    """

    monitor: Monitor
    sampler: Sampler
    recording: MigrationRecording
    next_poll_at: float
    judge_at: float
    is_proven: bool = False
    drop_at: float | None = None
    hang: Reminders | None = None
    answered_at: float = -math.inf
    jobless_at: float | None = None
    bandwidth_limit_bytes_per_second: int | None = None
    log: MigrationLog = dataclasses.field(default_factory=MigrationLog)

    @property
    def look_at(self) -> float:
        """When to read or assess it; an answer that is awaited wakes the loop by itself."""
        if self.sampler.asked_at is None:
            return min(self.next_poll_at, self.judge_at)
        return self.judge_at

    def answered(self, reading: Reading) -> None:
        """Record that a call has returned; libvirt itself times out after half a minute."""
        self.sampler.take(reading)
        if reading.began_at is not None and reading.began_at >= self.next_poll_at:
            # The one that is due was read already, as an iteration began.
            self.next_poll_at = math.inf
        if reading.error_code == libvirt_abi.ERR_OPERATION_TIMEOUT:
            # Another call holds the server's job lock.
            return
        if self.hang is not None and self.hang.logged:
            seconds = reading.at - self.hang.since
            LOG.info(
                "server %s: libvirt answers again after %s",
                *(self.monitor.server_uuid, describe(seconds)),
            )
        self.hang, self.answered_at = None, reading.at

    def take(self, seen: Observation) -> None:
        """Pass what was seen to the monitor and the recording."""
        self.monitor.take(seen)
        self.recording.take(seen)
        if isinstance(seen, Reading):
            if seen.stats is not None:
                self.bandwidth_limit_bytes_per_second = seen.bandwidth_limit_bytes_per_second
                self._look_for_job(seen.stats, seen.at)
            elif not seen.gone:
                LOG.debug("server %s: no data: %s", self.monitor.server_uuid, seen.error)
        elif isinstance(seen, Iteration | JobEvent):
            # An iteration has new counters; and libvirt shows only for a moment whether a job that
            # ends was aborted or has failed.
            self.next_poll_at = seen.at

    def _look_for_job(self, stats: Mapping[str, Any], at: float) -> None:
        """Record as given up a server that was paused or switched over and has had no job for long:
        the event of its end was lost, maybe with libvirt's connection."""
        if job_sample.outgoing_job(stats) is not JobState.NONE:
            self.jobless_at = None
        elif self.jobless_at is None:
            self.jobless_at = at
        elif at - self.jobless_at < _LOST_EVENT_SECONDS:
            return
        elif self.monitor.state[0] is not Status.POST_COPY:
            self.monitor.ending.given_up(at)

    def learn(self, facts: ServerFacts | None) -> None:
        self.monitor.learn(facts)
        if facts is not None:
            self.recording.facts = facts

    def ask(self, settings: Settings, now: float) -> None:
        """Request the reading that is due, if one is."""
        sampler = self.sampler
        if sampler.asked_at is None:
            # All at the same ticks: one wake-up costs less than one for each migration.
            interval_seconds = settings.poll_interval_seconds
            tick_at = (now // interval_seconds + 1) * interval_seconds
            if now >= self.next_poll_at:
                due_at, self.next_poll_at = self.next_poll_at, tick_at
                sampler.ask(now, due_at)
            else:
                # The interval may have been longer before a reload.
                self.next_poll_at = min(self.next_poll_at, tick_at)
        else:
            self._look_for_hang(settings, now)

    def _look_for_hang(self, settings: Settings, now: float) -> None:
        """Log that libvirt does not answer, at ever longer intervals."""
        asked_at = self.sampler.asked_at
        if self.hang is None and asked_at is not None:
            # The call may have waited in the sampler for an earlier one.
            since = max(asked_at, self.answered_at)
            self.hang = Reminders(since, since + settings.libvirt_timeout_seconds)
        seconds = None if self.hang is None else self.hang.due(now)
        if seconds is not None:
            LOG.warning(
                "server %s: libvirt has not answered for %s; the figures of migration %s are "
                "not updated until it does; check libvirt and QEMU",
                *(self.monitor.server_uuid, describe(seconds), self.monitor.uuid),
            )

# SPDX-License-Identifier: Apache-2.0
"""The migrations that are watched, and what begins and ends the watching of a server.

libvirt's events do not prove a migration: QEMU saves, dumps and snapshots a server's memory by its
own migration, with the same events. A job's ``operation`` proves it, or an event that libvirt sends
for migrations alone. So an event begins a candidate, which is read at once; nothing is reported
of it before the proof, and it is dropped silently when its job proves to be another, or has ended.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable

from migprog.compute.libvirt import loop_messages
from migprog.compute.libvirt.sampler import Sampler
from migprog.compute.report_cycle import ReportCycle
from migprog.compute.settings import Settings
from migprog.compute.state import resume
from migprog.compute.state.journal import Journal
from migprog.compute.steering import Steering
from migprog.compute.watched_migration import WatchedMigration
from migprog.core import job_start, libvirt_abi, observation
from migprog.core.checkpoint import Checkpoint
from migprog.core.ending import LAST_EVENTS_SECONDS
from migprog.core.forecast import job_sample
from migprog.core.forecast.completion_time import CompletionTimes
from migprog.core.forecast.job_sample import JobState
from migprog.core.forecast.resent import ResentShares, resent_share
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import Monitor
from migprog.core.observation import Iteration, JobCompleted, Lifecycle, Observation, Reading
from migprog.core.recently_ended import RecentlyEnded
from migprog.recording.writer import Recorder

LOG = logging.getLogger(__name__)


def _ignore(monitor: Monitor) -> None:
    """Do nothing."""


class WatchList:
    """Used by the agent's loop alone. ``sampler`` starts the thread that reads a server.

    ``judged`` is called with each migration that was assessed. ``reporting`` reports what is due;
    its ``settings``, for both, may be replaced between calls."""

    def __init__(
        self,
        settings: Settings,
        sampler: Callable[[str, bool], Sampler],
        recorder: Recorder,
        journal: Journal,
        steering: Steering,
        judged: Callable[[Monitor], None] = _ignore,
    ) -> None:
        self._steering = steering
        self._sampler = sampler
        self._recorder = recorder
        self._watched: dict[str, WatchedMigration] = {}
        self._recently_ended = RecentlyEnded()
        self.reporting = ReportCycle(
            settings=settings,
            watched=self._watched,
            journal=journal,
            steering=steering,
            drop=self._drop,
            forget=self._forget,
            judged=judged,
        )
        # Learned from the migrations that this host has seen end, or arrive.
        self._completions = CompletionTimes()
        self._resent = ResentShares()

    def __len__(self) -> int:
        """Return how many migrations are in progress."""
        return sum(watched.is_proven for watched in self._watched.values())

    def by_verdict(self) -> Counter[Verdict]:
        """Count the migrations in progress by verdict."""
        return Counter(
            watched.monitor.verdict for watched in self._watched.values() if watched.is_proven
        )

    @property
    def guest_paused_clock(self) -> float | None:
        """Since when a guest is paused, of those the one that is paused the longest; None if all
        run. By the monotonic clock."""
        each = (
            watched.monitor.guest_paused_clock
            for watched in self._watched.values()
            if watched.is_proven
        )
        return min((since for since in each if since is not None), default=None)

    def __contains__(self, server_uuid: str) -> bool:
        """Return whether a server is known to migrate away."""
        watched = self._watched.get(server_uuid)
        return watched is not None and watched.is_proven

    def has_job(self, server_uuid: str) -> bool:
        """Return whether a server may migrate away, or its memory be saved: an event or a reading
        showed a job, which need not be proven yet."""
        return server_uuid in self._watched

    def monitor(self, server_uuid: str) -> Monitor | None:
        """Return the monitor of a server that is known to migrate away."""
        watched = self._watched.get(server_uuid)
        return watched.monitor if watched is not None and watched.is_proven else None

    def stop(self) -> None:
        """Stop the reading threads."""
        for watched in self._watched.values():
            watched.sampler.stop()

    def resume(self, checkpoint: Checkpoint, now: float) -> bool:
        """Resume a migration from its checkpoint, unless its server is watched already, or no
        thread can be started to read it; return whether that was done."""
        if checkpoint.server_uuid in self:
            return False
        LOG.info("server %s: looking for its migration %s", checkpoint.server_uuid, checkpoint.uuid)
        try:
            self._begin(checkpoint.server_uuid, now, checkpoint)
        except RuntimeError as error:
            LOG.warning(
                "server %s: cannot read it: %s; check this system's limits of threads and memory",
                *(checkpoint.server_uuid, error),
            )
            return False
        return True

    def take(self, seen: Observation) -> None:
        """Handle what was seen of a server, which may be of its migration."""
        server_uuid = seen.server_uuid
        watched = self._watched.get(server_uuid)
        if watched is not None and watched.drop_at is not None and isinstance(seen, Iteration):
            # The candidate's job has ended: this is another job.
            self._drop(server_uuid)
            watched = None
        if watched is None:
            if not observation.begins(seen) or self._recently_ended.is_of(seen):
                return
            watched = self._begin(server_uuid, _began_at(seen))
        if isinstance(seen, Reading):
            watched.answered(seen)
        if not watched.is_proven:
            if observation.proves(seen):
                self._prove(watched)
            elif self._is_disproved(watched, seen):
                return
        watched.learn(seen.facts)
        if isinstance(seen, Reading) and watched.monitor.checkpoint is not None:
            watched = self._look_for(watched, watched.monitor.checkpoint, seen)
            if watched.monitor.checkpoint is not None:
                return
        watched.take(seen)

    def _look_for(
        self, watched: WatchedMigration, checkpoint: Checkpoint, reading: Reading
    ) -> WatchedMigration:
        """Look for the migration of a checkpoint; return the one that the reading belongs to."""
        now = time.monotonic()
        if not resume.look(watched.monitor, checkpoint, reading, time.time() - now):
            return watched
        # Assess now: a search would take the new job for the one that has ended.
        self.reporting.judge(watched, self.reporting.settings.rules, now)
        watched = self._begin(reading.server_uuid, reading.at)
        self._prove(watched)
        return watched

    def arrived(self, message: loop_messages.ArrivalStats) -> None:
        """Learn from the final statistics of a migration that brought a server here."""
        if message.stats is not None and job_sample.is_completed_migration(message.stats):
            final = job_sample.from_job_stats(message.stats, message.at)
            self._learn_resent(message.server_uuid, resent_share(final))

    def _learn_resent(self, server_uuid: str, share: float | None) -> None:
        if share is not None:
            self._resent = self._resent.after(server_uuid, share)

    def destinations(self, message: loop_messages.Destinations) -> None:
        """Set the hosts that migrations go to."""
        for watched in self._watched.values():
            monitor = watched.monitor
            destination = message.by_migration.get(monitor.uuid)
            if isinstance(destination, str) and destination != monitor.destination:
                expected_seconds = self._completions.expected_seconds(destination)
                monitor.goes_to(destination, expected_seconds)

    def expectations(self, message: loop_messages.Expectations) -> None:
        """Set what was known of migrations before they began."""
        for watched in self._watched.values():
            expectation = message.by_migration.get(watched.monitor.uuid)
            if expectation is not None:
                watched.monitor.expects(expectation)

    def _is_disproved(self, watched: WatchedMigration, seen: Observation) -> bool:
        """Drop a candidate that is no migration, at once or soon; return whether it is none."""
        match seen:
            case Reading(stats=None):
                if seen.gone and watched.drop_at is None:
                    # Events of a migration that has ended so soon may still come.
                    watched.drop_at = watched.judge_at = seen.at + LAST_EVENTS_SECONDS
                return True
            case Reading() | Lifecycle(event=libvirt_abi.STOPPED) | JobCompleted():
                self._drop(seen.server_uuid)
                return True
        return False

    def _prove(self, watched: WatchedMigration) -> None:
        if not watched.is_proven:
            monitor = watched.monitor
            LOG.info("server %s: migration %s is under way", monitor.server_uuid, monitor.uuid)
            watched.is_proven, watched.drop_at = True, None

    def _begin(
        self, server_uuid: str, at: float, checkpoint: Checkpoint | None = None
    ) -> WatchedMigration:
        """Watch a server; ``checkpoint`` is the checkpoint of its migration, if there is one.

        What it was watched for before is forgotten.
        """
        self._drop(server_uuid)
        name = str(uuid.uuid4()) if checkpoint is None else checkpoint.uuid
        completion_time_seconds = self._completions.expected_seconds()
        interval_seconds = self.reporting.settings.poll_interval_seconds
        self.reporting.look_again(at)
        watched = self._watched[server_uuid] = WatchedMigration(
            monitor=Monitor(
                uuid=name,
                server_uuid=server_uuid,
                found_at=at,
                completion_time_seconds=completion_time_seconds,
                checkpoint=checkpoint,
                poll_interval_seconds=interval_seconds,
                expected_resent=self._resent.expected(server_uuid),
            ),
            sampler=self._sampler(server_uuid, checkpoint is not None),
            recording=self._recorder.begin(server_uuid, name, completion_time_seconds),
            next_poll_at=at,
            judge_at=at,
            is_proven=checkpoint is not None,
        )
        return watched

    def _drop(self, server_uuid: str) -> None:
        """Forget a candidate, which was no migration."""
        watched = self._watched.pop(server_uuid, None)
        if watched is not None:
            watched.sampler.stop()
            watched.recording.drop()

    def _forget(self, watched: WatchedMigration, now: float) -> None:
        monitor = watched.monitor
        completion_time_seconds = monitor.ending.completion_time_seconds
        if completion_time_seconds is not None:
            self._completions = self._completions.after(
                completion_time_seconds, monitor.destination
            )
        self._learn_resent(monitor.server_uuid, monitor.ending.resent_share())
        watched.sampler.stop()
        self._steering.forget(monitor)
        del self._watched[monitor.server_uuid]
        self._recently_ended.ended(monitor.server_uuid, monitor.ended_clock or now, now)


def _began_at(seen: Observation) -> float:
    """Return when a migration began that is found by this: its job, where that has failed already,
    began long before."""
    if not isinstance(seen, Reading) or seen.stats is None:
        return seen.at
    if job_sample.outgoing_job(seen.stats) is JobState.ACTIVE:
        return seen.at
    began_at = job_start.began_at(seen.stats, seen.at)
    return seen.at if began_at is None else began_at

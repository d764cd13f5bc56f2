# SPDX-License-Identifier: Apache-2.0
"""The migrations that are watched: events and readings go in, reports that are due come out.

libvirt's events do not prove a migration: QEMU saves, dumps and snapshots a server's memory by its
own migration, with the same events. A job's ``operation`` proves it, or an event that libvirt sends
for migrations alone. So an event begins a candidate, which is read at once; nothing is reported
of it before the proof, and it is dropped silently when its job proves to be another, or has ended.
"""

import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any

from migprog.compute import clock as clocks
from migprog.compute.libvirt import events
from migprog.compute.libvirt.sampler import Sampler
from migprog.compute.settings import Settings
from migprog.compute.state import resume
from migprog.compute.state.journal import Journal
from migprog.compute.watched_migration import WatchedMigration
from migprog.core import checkpoint, job_start, schedule
from migprog.core.forecast import job_sample
from migprog.core.forecast.completion_time import CompletionTimes
from migprog.core.forecast.job_sample import JobState
from migprog.core.forecast.resent import ResentShares, resent_share
from migprog.core.forecast.verdict import Verdict
from migprog.core.monitor import DEPARTURES, Monitor
from migprog.core.recently_ended import RecentlyEnded
from migprog.metrics import agent as metrics
from migprog.recording.writer import Recorder

LOG = logging.getLogger(__name__)
# libvirt-domain.h: VIR_DOMAIN_EVENT_STOPPED, and with its detail SAVED, which no migration has.
_STOPPED, _STOPPED_SAVED = 5, (5, 4)
# The events of a migration's end may come so long after an answer that the server is gone.
_LAST_EVENTS_SECONDS = 2.0


class WatchList:
    """Used by the agent's loop alone. ``sampler`` starts the thread that reads a server;
    ``settings`` may be replaced at any time."""

    def __init__(
        self,
        settings: Settings,
        sampler: Callable[[str, bool], Sampler],
        recorder: Recorder,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._sampler = sampler
        self._recorder = recorder
        self._journal = journal
        self._watched: dict[str, WatchedMigration] = {}
        self._recently_ended = RecentlyEnded()
        # When the last message with progress was sent.
        self._sent_at = -math.inf
        # When a migration must be read or assessed next, or earlier.
        self._look_at = math.inf
        # See _oldest_reported_at; ``_has_reported``: search all migrations for it.
        self._oldest_at: float | None = None
        self._has_reported = False
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

    def __contains__(self, server_uuid: str) -> bool:
        """Return whether a server is known to migrate away."""
        watched = self._watched.get(server_uuid)
        return watched is not None and watched.is_proven

    def monitor(self, server_uuid: str) -> Monitor | None:
        """Return the monitor of a server that is known to migrate away."""
        watched = self._watched.get(server_uuid)
        return watched.monitor if watched is not None and watched.is_proven else None

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        # Readings may be due sooner.
        self._look_at = -math.inf

    @property
    def next_look_at(self) -> float | None:
        """When to read or assess a migration; None while none is watched.

        An answer that is awaited wakes the loop by itself.
        """
        return self._look_at if self._watched else None

    def stop(self) -> None:
        """Stop the reading threads."""
        for watched in self._watched.values():
            watched.sampler.stop()

    # Events and readings.

    def resume(self, saved: checkpoint.Checkpoint, now: float) -> bool:
        """Resume a migration from its checkpoint, unless its server is watched already."""
        if saved.server_uuid in self:
            return False
        self._drop(saved.server_uuid)
        LOG.info("server %s: looking for its migration %s", saved.server_uuid, saved.uuid)
        self._begin(saved.server_uuid, now, saved)
        return True

    def read(self, reading: events.Reading) -> None:
        """Handle the statistics of a server, or the error instead of them."""
        server_uuid, stats, at = reading.server_uuid, reading.stats, reading.at
        state = JobState.NONE if stats is None else job_sample.outgoing_job(stats)
        watched = self._watched.get(server_uuid)
        if watched is None:
            if state is JobState.NONE or self._is_of_ended(reading, state):
                return
            # A job that has failed already began long before it was found.
            began_at = (
                None if state is JobState.ACTIVE else job_start.began_at(reading.stats or {}, at)
            )
            watched = self._begin(server_uuid, at if began_at is None else began_at)
        watched.answered(reading)
        # A reload may have changed the interval.
        watched.monitor.poll_interval_seconds = self._settings.poll_interval_seconds
        watched.learn(reading.facts)
        if not watched.is_proven:
            if state is JobState.NONE:
                self._doubt(watched, reading)
                return
            self._prove(watched)
        saved = watched.monitor.saved
        if saved is not None:
            watched = self._look_for(watched, saved, reading)
            if watched.monitor.saved is not None:
                return
        watched.read(reading)

    def _look_for(
        self, watched: WatchedMigration, saved: checkpoint.Checkpoint, reading: events.Reading
    ) -> WatchedMigration:
        """Look for the migration of a checkpoint; return the one that the reading belongs to."""
        now = time.monotonic()
        if not resume.look(watched.monitor, saved, reading, time.time() - now):
            return watched
        # Assess now: a search would take the new job for the one that has ended.
        self._judge(watched, self._settings.rules, now)
        watched = self._begin(reading.server_uuid, reading.at)
        self._prove(watched)
        return watched

    def iteration(self, message: events.Iteration) -> None:
        """Handle QEMU's event that an iteration over a server's memory begins."""
        server_uuid, at = message.server_uuid, message.at
        watched = self._watched.get(server_uuid)
        if watched is not None and watched.drop_at is not None:
            # The candidate's job has ended: this is another job.
            self._drop(server_uuid)
            watched = None
        if watched is None:
            if self._recently_ended.is_of(server_uuid, at):
                return
            watched = self._begin(server_uuid, at)
        watched.monitor.iteration_begins(at)
        watched.recording.event("iteration", at, iteration=message.number)
        watched.next_poll_at = at

    def lifecycle(self, message: events.Lifecycle) -> None:
        """Handle libvirt's lifecycle event of a server."""
        kind = (message.event, message.detail)
        server_uuid, at = message.server_uuid, message.at
        watched = self._watched.get(server_uuid)
        if watched is None:
            if kind not in DEPARTURES or self._recently_ended.may_be(server_uuid, at):
                return
            watched = self._begin(server_uuid, at)
        if not watched.is_proven:
            if kind in DEPARTURES:
                self._prove(watched)
            elif message.event == _STOPPED:
                self._drop(server_uuid)
                return
        if kind == _STOPPED_SAVED:
            self._ended_before(watched, at)
            return
        watched.learn(message.facts)
        watched.monitor.lifecycle(message.event, message.detail, at)
        watched.recording.event("lifecycle", at, code=message.event, detail=message.detail)

    def job_completed(self, message: events.JobCompleted) -> None:
        """Handle the final statistics of a server's job, of any kind."""
        server_uuid, stats, at = message.server_uuid, message.stats, message.at
        watched = self._watched.get(server_uuid)
        if not job_sample.is_outgoing(stats):
            if watched is not None and watched.is_proven:
                self._ended_before(watched, at)
            else:
                self._drop(server_uuid)
            return
        if watched is None:
            if self._recently_ended.is_of(server_uuid, at, stats):
                return
            watched = self._begin(server_uuid, at)
        self._prove(watched)
        watched.learn(message.facts)
        watched.monitor.job_completed(stats, at)
        watched.recording.event("job_completed", at, stats=dict(stats))

    def job_event(self, event: events.JobEvent) -> None:
        """Handle an event of a server's job."""
        watched = self._watched.get(event.server_uuid)
        if watched is None:
            return
        # libvirt shows only for a moment whether a job that ends was aborted or has failed.
        watched.next_poll_at = event.at
        if event.qemu_status is not None:
            watched.monitor.qemu_migration(event.qemu_status, event.at)
            watched.recording.event("qemu_migration", event.at, status=event.qemu_status)

    def arrived(self, message: events.ArrivalStats) -> None:
        """Learn from the final statistics of a migration that brought a server here."""
        if message.stats is not None and job_sample.is_completed_migration(message.stats):
            final = job_sample.from_job_stats(message.stats, message.at)
            self._learn_resent(message.server_uuid, resent_share(final))

    def _learn_resent(self, server_uuid: str, share: float | None) -> None:
        if share is not None:
            self._resent = self._resent.after(server_uuid, share)

    def destinations(self, message: events.Destinations) -> None:
        """Set the hosts that migrations go to."""
        for watched in self._watched.values():
            monitor = watched.monitor
            destination = message.by_migration.get(monitor.uuid)
            if isinstance(destination, str) and destination != monitor.destination:
                expected_seconds = self._completions.expected_seconds(destination)
                monitor.goes_to(destination, expected_seconds)

    def _is_of_ended(self, reading: events.Reading, state: JobState) -> bool:
        """Return whether a reading is of a migration that has ended and is not watched any more."""
        if state is not JobState.ACTIVE:
            # libvirt has forgotten when it began, and shows it for a moment after its end.
            return self._recently_ended.may_be(reading.server_uuid, reading.at)
        return self._recently_ended.is_of(reading.server_uuid, reading.at, reading.stats)

    def _doubt(self, watched: WatchedMigration, reading: events.Reading) -> None:
        """Handle a candidate's reading that shows no migration."""
        if reading.stats is not None:
            self._drop(reading.server_uuid)
        elif reading.gone and watched.drop_at is None:
            # Events of a migration that has ended so soon may still come.
            watched.drop_at = watched.judge_at = reading.at + _LAST_EVENTS_SECONDS

    def _prove(self, watched: WatchedMigration) -> None:
        if not watched.is_proven:
            monitor = watched.monitor
            LOG.info("server %s: migration %s is under way", monitor.server_uuid, monitor.uuid)
            watched.is_proven, watched.drop_at = True, None

    def _ended_before(self, watched: WatchedMigration, at: float) -> None:
        """Record that a server has a job which a migrating server cannot have."""
        if watched.monitor.saved is not None:
            watched.monitor.lost(checkpoint.LEFT_RUNNING, at, certain=False)
        else:
            watched.monitor.ending.given_up(at)

    def _begin(
        self, server_uuid: str, at: float, saved: checkpoint.Checkpoint | None = None
    ) -> WatchedMigration:
        """Watch a server; ``saved`` is the checkpoint of its migration, if there is one."""
        name = str(uuid.uuid4()) if saved is None else saved.uuid
        completion_time_seconds = self._completions.expected_seconds()
        interval_seconds = self._settings.poll_interval_seconds
        self._look_at = min(self._look_at, at)
        watched = self._watched[server_uuid] = WatchedMigration(
            monitor=Monitor(
                *(name, server_uuid, at, completion_time_seconds, saved, interval_seconds),
                expected=self._resent.expected(server_uuid),
            ),
            sampler=self._sampler(server_uuid, saved is not None),
            recording=self._recorder.begin(server_uuid, completion_time_seconds),
            next_poll_at=at,
            judge_at=at,
            is_proven=saved is not None,
        )
        return watched

    def _drop(self, server_uuid: str) -> None:
        """Forget a candidate, which was no migration."""
        watched = self._watched.pop(server_uuid, None)
        if watched is not None:
            self._has_reported = True
            watched.sampler.stop()
            watched.recording.drop()

    # Reports and requests.

    def attend(
        self,
        rules: schedule.Rules,
        now: float,
        seen_of: Collection[str | None],
    ) -> None:
        """Report what is due, and request readings. ``seen_of``: servers with new messages.

        With many migrations, messages come dozens of times a second. So a migration without one is
        looked at only when one of them is due. Assessing costs most: it is done once for each
        message; and for all migrations when a message is sent that takes along what has moved.
        """
        seen = [server_uuid for server_uuid in self._watched if server_uuid in seen_of]
        clock = schedule.HostClock(self._sent_at, self._oldest_reported_at(seen))
        alone = clock.rules(rules, now)
        all_are_due = clock.may_send(rules, now) and clock.figures_are_due(rules, now)
        looks_at_all = all_are_due or now >= self._look_at
        looked_at = list(self._watched) if looks_at_all else seen
        judged, sent = set(), set()
        for server_uuid in looked_at:
            watched = self._watched[server_uuid]
            if watched.drop_at is not None and now >= watched.drop_at:
                self._drop(server_uuid)
            elif all_are_due or server_uuid in seen_of or now >= watched.judge_at:
                judged.add(server_uuid)
                if self._try(watched, self._judge, alone, now):
                    sent.add(server_uuid)
        along = clock.along(rules, now) if sent else None
        if along is not None:
            for server_uuid in [each for each in self._watched if each not in sent]:
                work = self._report if server_uuid in judged else self._judge
                self._try(self._watched[server_uuid], work, along, now)
        still = [self._watched[each] for each in looked_at if each in self._watched]
        for watched in still:
            if not watched.monitor.over:
                self._try(watched, WatchedMigration.ask, self._settings, now)
        others_at = math.inf if looks_at_all else self._look_at
        self._look_at = min((watched.look_at for watched in still), default=others_at)
        self._look_at = min(self._look_at, others_at)
        if sent and clock.may_send(rules, now):
            self._sent_at = now

    def _oldest_reported_at(self, seen: Iterable[str]) -> float | None:
        """Return when the oldest reported counters had been read, of migrations that have newer
        ones now. ``seen``: servers with new messages since the last call."""
        known = [] if self._oldest_at is None else [self._oldest_at]
        if self._has_reported:
            known, seen, self._has_reported = [], self._watched, False
        each = (self._watched[server_uuid].monitor.reported_clock for server_uuid in seen)
        known += [at for at in each if at is not None]
        self._oldest_at = min(known, default=None)
        return self._oldest_at

    def _try(
        self, watched: WatchedMigration, work: Callable[..., bool | None], *arguments: Any
    ) -> bool:
        """Return what ``work`` on a migration returns; a failure affects no other migration."""
        try:
            return bool(work(watched, *arguments))
        except Exception:
            LOG.exception(
                "server %s: failed to evaluate the migration; no report in this cycle",
                watched.monitor.server_uuid,
            )
            return False

    def _judge(self, watched: WatchedMigration, rules: schedule.Rules, now: float) -> bool:
        """Assess the migration, and report it if that is due; return whether it is."""
        # The next reading will come before, if none hangs.
        watched.judge_at = now + 2 * self._settings.poll_interval_seconds
        if not watched.is_proven:
            return False
        watched.monitor.judge(now)
        return self._report(watched, rules, now)

    def _report(self, watched: WatchedMigration, rules: schedule.Rules, now: float) -> bool:
        """Report the migration as it was assessed, if that is due; return whether it is."""
        due = watched.monitor.due(rules, clocks.wall(now))
        if due is not None:
            self._has_reported = True
            reason, report = due
            watched.log.sent(reason, report, now)
            metrics.report_due(reason)
            needs_ack = schedule.needs_ack(reason, watched.monitor.destination is not None)
            self._journal.report(report, needs_ack, watched.monitor.started_clock, now)
            if watched.monitor.over:
                watched.recording.end(report.status, report.error, now)
        if watched.monitor.over:
            self._forget(watched, now)
        return due is not None

    def _forget(self, watched: WatchedMigration, now: float) -> None:
        monitor = watched.monitor
        completion_time_seconds = monitor.ending.completion_time_seconds
        if completion_time_seconds is not None:
            self._completions = self._completions.after(
                completion_time_seconds, monitor.destination
            )
        self._learn_resent(monitor.server_uuid, monitor.ending.resent_share())
        watched.sampler.stop()
        del self._watched[monitor.server_uuid]
        self._recently_ended.ended(monitor.server_uuid, monitor.ended_clock or now, now)

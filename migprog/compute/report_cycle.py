# SPDX-License-Identifier: Apache-2.0
"""Report what is due of all watched migrations, and request their readings."""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from migprog.compute import clock as clocks
from migprog.compute.settings import Settings
from migprog.compute.state.journal import Journal
from migprog.compute.steering import Steering
from migprog.compute.watched_migration import WatchedMigration
from migprog.core import schedule
from migprog.core.monitor import Monitor
from migprog.core.steering.situation import Capabilities
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)


class ReportCycle:
    """``watched`` are the watched migrations by server, as they are at each call; ``drop`` forgets
    a server that does not migrate, ``forget`` a migration whose end has been reported; ``judged``
    is called with each migration that was assessed."""

    def __init__(
        self,
        settings: Settings,
        watched: Mapping[str, WatchedMigration],
        journal: Journal,
        steering: Steering,
        drop: Callable[[str], None],
        forget: Callable[[WatchedMigration, float], None],
        judged: Callable[[Monitor], None],
    ) -> None:
        self._settings = settings
        self._watched = watched
        self._journal = journal
        self._steering = steering
        self._drop = drop
        self._forget = forget
        self._judged = judged
        # When the last message with progress was sent.
        self._sent_at = -math.inf
        # When a migration must be read or assessed next, or earlier.
        self._look_at = math.inf
        # See _oldest_reported_at; ``_has_reported``: search all migrations for it.
        self._oldest_at: float | None = None
        self._has_reported = False

    @property
    def settings(self) -> Settings:
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        for watched in self._watched.values():
            watched.monitor.poll_interval_seconds = settings.poll_interval_seconds
        # Readings may be due sooner.
        self._look_at = -math.inf

    @property
    def next_look_at(self) -> float | None:
        """When to read or assess a migration; None while none is watched.

        An answer that is awaited wakes the loop by itself.
        """
        return self._look_at if self._watched else None

    def look_again(self, at: float) -> None:
        """Look at all migrations at ``at`` or earlier."""
        self._look_at = min(self._look_at, at)

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
                if self._try(watched, self.judge, alone, now):
                    sent.add(server_uuid)
        along = clock.along(rules, now) if sent else None
        if along is not None:
            for server_uuid in [each for each in self._watched if each not in sent]:
                work = self._report if server_uuid in judged else self.judge
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
                "server %s: migration %s: failed to assess it; not reported now, and tried again "
                "with its next reading; report this traceback as a bug",
                *(watched.monitor.server_uuid, watched.monitor.uuid),
            )
            return False

    def judge(self, watched: WatchedMigration, rules: schedule.Rules, now: float) -> bool:
        """Assess the migration, and report it if that is due; return whether it is."""
        # The next reading will come before, if none hangs.
        watched.judge_at = now + 2 * self._settings.poll_interval_seconds
        if not watched.is_proven:
            return False
        monitor = watched.monitor
        monitor.judge(now)
        capabilities = Capabilities(
            bandwidth_cap_bytes_per_second=watched.bandwidth_limit_bytes_per_second
        )
        self._steering.look(monitor, monitor.project_id, now, capabilities)
        is_due = self._report(watched, rules, now)
        self._judged(monitor)
        return is_due

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

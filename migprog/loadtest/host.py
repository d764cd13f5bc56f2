# SPDX-License-Identifier: Apache-2.0
"""A simulated host with the agent's real report rules, clock, outbox and sender."""

import dataclasses
import math
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from migprog.compute.reporting.outbox import Outbox
from migprog.compute.reporting.sender import HostStats, Sender
from migprog.core import schedule
from migprog.core.messages import Arrival, ArrivalState, Report
from migprog.core.schedule import HostClock, ReportReason, ReportSummary, Rules
from migprog.core.status import ENDED, Status
from migprog.loadtest.stream import Stream
from migprog.metrics import agent as metrics


class Reported(NamedTuple):
    """A report that a host has put into its outbox, and its reason."""

    reason: ReportReason
    report: Report


class Host:
    """Migrates servers without end: when a migration ends, the next one starts.

    ``streams``: for each initial migration its stream and the seconds of it that have passed.
    ``peer``: the outbox of the host where the servers arrive.
    """

    def __init__(
        self,
        name: str,
        rules: Rules,
        streams: Sequence[tuple[Stream, float]],
        outbox: Outbox,
        sender: Sender,
        peer: Outbox,
    ) -> None:
        self.name = name
        self.outbox = outbox
        self.sender = sender
        self._rules = rules
        self._streams = streams
        self._peer = peer
        self._sent_at = -math.inf
        sender.host_stats = HostStats(len(streams))
        self._migrations: list[_Migration] = []

    def tick(self, now: float, wall: float) -> list[Reported]:
        """Return the reports due, as the agent does after each poll. ``now``: monotonic seconds;
        ``wall``: seconds since the epoch."""
        if not self._migrations:
            self._migrations = [_Migration(stream, now - gone) for stream, gone in self._streams]
        rules = self.sender.flow_control.rules(self._rules)
        read = [each.read_at for each in self._migrations if each.read_at is not None]
        clock = HostClock(self._sent_at, min(read, default=None))
        due = self._report(clock.rules(rules, now), now, wall)
        if due:
            along = clock.along(rules, now)
            due += self._report(along, now, wall) if along else []
            if clock.may_send(rules, now):
                self._sent_at = now
        return due

    def _report(self, rules: Rules, now: float, wall: float) -> list[Reported]:
        reported = []
        for number, migration in enumerate(self._migrations):
            due = migration.report_if_due(rules, now, wall)
            if due is None:
                continue
            metrics.report_due(due.reason)
            self.outbox.put_report(due.report, migration.needs_ack(due.reason))
            self._arrive(due, now, wall)
            reported.append(due)
            if due.report.status in ENDED:
                self._migrations[number] = _Migration(migration.stream, now)
        return reported

    def _arrive(self, reported: Reported, now: float, wall: float) -> None:
        """Report the arrival from the destination, as its agent would."""
        if reported.reason is ReportReason.FIRST:
            state = ArrivalState.INCOMING
        elif reported.report.status is Status.COMPLETED:
            state = ArrivalState.RESUMED
        else:
            return
        arrival = Arrival(server_uuid=reported.report.server_uuid, state=state, at=wall)
        self._peer.put_arrival(arrival, now)


class _Migration:
    def __init__(self, stream: Stream, began_at: float) -> None:
        self.stream = stream
        self._began_at = began_at
        self._uuid, self._server_uuid = str(uuid.uuid4()), str(uuid.uuid4())
        self._project_id, self._user_id = uuid.uuid4().hex, uuid.uuid4().hex
        self._started_at: float | None = None
        self._sequence = 0
        self._reported: ReportSummary | None = None
        self._asked = False

    @property
    def read_at(self) -> float | None:
        """When the counters in the last report were read."""
        return None if self._reported is None else self._reported.read_at

    def needs_ack(self, reason: ReportReason) -> bool:
        """Return whether a report needs an acknowledgement; that of the first change of phase
        includes the destination."""
        needed = schedule.needs_ack(reason, destination_is_known=self._asked)
        self._asked |= reason is ReportReason.PHASE
        return needed

    def report_if_due(self, rules: Rules, now: float, wall: float) -> Reported | None:
        passed_seconds = now - self._began_at
        at, percent = self.stream.at(passed_seconds), self.stream.percent(passed_seconds)
        has_eta = at.eta_seconds is not None
        new = ReportSummary(now, at.status, at.phase, at.verdict, percent, has_eta, sampled_at=now)
        reason = schedule.reason_to_report(new, self._reported, rules)
        if reason is None:
            return None
        self._reported = new
        self._sequence += 1
        if self._started_at is None:
            self._started_at = round(wall - (now - self._began_at), 3)
        return Reported(
            reason,
            dataclasses.replace(
                at,
                percent=percent,
                uuid=self._uuid,
                server_uuid=self._server_uuid,
                server_name=f"server-{self._server_uuid[:8]}",
                project_id=self._project_id,
                user_id=self._user_id,
                sequence=self._sequence,
                started_at=self._started_at,
                sampled_at=round(wall, 3),
                ended_at=round(wall, 3) if at.status in ENDED else None,
            ),
        )

# SPDX-License-Identifier: Apache-2.0
"""Run a recording through the monitor that assesses live migrations, including its schedule.

It passes on what the agent would have seen, in the same order, and lets time pass between the rows
as the agent's loop does. So it reports what would have been reported then.
"""

from collections.abc import Callable
from dataclasses import dataclass

from migprog.core import observation, schedule
from migprog.core.forecast.expectation import Expectation
from migprog.core.forecast.resent import Resent
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.messages import Report
from migprog.core.monitor import Monitor
from migprog.core.observation import Observation, Reading
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Phase
from migprog.recording import observation_rows
from migprog.recording.format import Recording

# The agent looks at its clock so often without messages, and waits so long for the last of them.
_TICK_SECONDS = 0.5
_MAX_TICKS = 1000
_AFTERMATH_SECONDS = 5.0
_UUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Line:
    """The assessment at a sample; seconds, and None for what is not known.

    ``reported`` is the schedule's reason if a report would have been sent, at this sample or since
    the one before it; of several the first in the order of :class:`schedule.ReportReason`.
    """

    t: float
    phase: str | None
    percent: int | None
    eta_seconds: float | None
    eta_low_seconds: float | None
    eta_high_seconds: float | None
    verdict: str | None
    verdict_reason: str | None
    verdict_message: str | None
    reported: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A report that would have been sent at ``t``, and why."""

    t: float
    reason: schedule.ReportReason
    report: Report


@dataclass(frozen=True, slots=True)
class Replayed:
    """One line for each sample, and every report, including those after the last sample."""

    lines: tuple[Line, ...]
    reports: tuple[Sent, ...]


def replay(
    recording: Recording,
    rules: schedule.Rules,
    completion_time_seconds: float | None = None,
    expected_resent: Resent | None = None,
    watch: Callable[[Monitor, float], None] | None = None,
    expectation: Expectation | None = None,
) -> Replayed:
    """Run a recording through a monitor of its own. ``watch`` is called with it after each sample.

    ``completion_time_seconds`` is that of earlier migrations between the same hosts; the recording
    may have it, too. ``expected_resent`` is what the server is expected to send again, by
    earlier migrations; ``expectation`` is what the answer to the first report says.
    """
    if completion_time_seconds is None:
        completion_time_seconds = recording.completion_time_seconds
    player = _Player(recording, rules, completion_time_seconds, expected_resent, expectation)
    lines = []
    for t, seen in observation_rows.observations(recording, _UUID):
        player.play(t, seen)
        if isinstance(seen, Reading):
            lines.append(player.line(t))
            if watch is not None and player.monitor is not None:
                watch(player.monitor, player.now)
    player.wait_until(player.now + _AFTERMATH_SECONDS)
    return Replayed(tuple(lines), tuple(player.sent))


class _Player:
    def __init__(
        self,
        recording: Recording,
        rules: schedule.Rules,
        completion_time_seconds: float | None,
        expected_resent: Resent | None,
        expectation: Expectation | None = None,
    ) -> None:
        self._expectation = expectation
        self._completion_time_seconds, self._expected_resent = (
            completion_time_seconds,
            expected_resent,
        )
        self.sent: list[Sent] = []
        self.now = recording.rows[0]["t"] if recording.rows else 0.0
        self._facts = ServerFacts(
            memory_size_bytes=recording.memory_size_bytes,
            memory_resident_bytes=recording.memory_resident_bytes,
        )
        self._rules = rules
        self.monitor: Monitor | None = None
        self._shown = 0

    def play(self, t: float, seen: Observation | None) -> None:
        """Let time pass up to ``t``, and process what was seen then."""
        self.wait_until(t)
        if self.monitor is None and seen is not None and observation.begins(seen):
            self.monitor = Monitor(
                *(_UUID, _UUID, t, self._completion_time_seconds),
                expected_resent=self._expected_resent,
            )
            self.monitor.learn(self._facts)
        if self.monitor is not None:
            if seen is not None:
                self.monitor.take(seen)
            self._report(self.monitor)

    def wait_until(self, t: float) -> None:
        """Let time pass without messages; what is due meanwhile is reported."""
        if self.monitor is not None and not self.monitor.over:
            step = max(_TICK_SECONDS, (t - self.now) / _MAX_TICKS)
            while self.now + step < t:
                self.now += step
                self._report(self.monitor)
        self.now = max(self.now, t)

    def line(self, t: float) -> Line:
        """Return the present assessment, at a sample of ``t``."""
        reasons = {sent.reason for sent in self.sent[self._shown :]}
        reported = next((reason for reason in schedule.ReportReason if reason in reasons), None)
        self._shown = len(self.sent)
        if self.monitor is None:
            text = "libvirt shows no migration yet"
            unknown = (None, None, None, None)
            verdict = (Verdict.STARTING, VerdictReason.NOTHING_COPIED_YET, text)
            return Line(t, Phase.SETUP, *unknown, *verdict, reported)
        report = self.monitor.preview(self.now, self.now)
        return Line(
            t,
            report.phase,
            report.percent,
            report.eta_seconds,
            report.eta_low_seconds,
            report.eta_high_seconds,
            report.verdict,
            report.verdict_reason,
            report.verdict_message,
            reported,
        )

    def _report(self, monitor: Monitor) -> None:
        due = monitor.report_if_due(self._rules, self.now, self.now)
        if due is not None:
            if not self.sent and self._expectation is not None:
                monitor.expects(self._expectation)
            self.sent.append(Sent(self.now, *due))

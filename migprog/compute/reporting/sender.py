# SPDX-License-Identifier: Apache-2.0
"""Send the outbox to the conductors: everything that is due in one message, again if need be."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from migprog import outages
from migprog.compute import clock
from migprog.compute.reporting.outbox import Load, Outbox
from migprog.core.duration import describe
from migprog.core.fields import shown
from migprog.core.flow_control import FlowControl
from migprog.core.forecast.expectation import Expectation
from migprog.core.log_limit import LogLimit
from migprog.core.messages import LASTING, Ack, Agent, Batch
from migprog.core.schedule import Rules
from migprog.core.wire_table import Dropped
from migprog.metrics import agent as metrics
from migprog.rpc.conductor import ConductorAPI, Unreachable
from migprog.version import RELEASE

LOG = logging.getLogger(__name__)
# Seconds between two attempts while no conductor answers: doubled each time, up to the last.
_RETRY_SECONDS = (0.5, 30.0)
_WITHOUT_STATS_SECONDS = 1.0
# What follows for an operator when no conductor can be reached.
REPORTS_WAIT = "reports wait in this agent"


@dataclass(frozen=True, slots=True)
class Address:
    """The names of this host: in Nova, in libvirt, and its address for migrations."""

    host: str
    node: str
    ip: str | None


@dataclass(frozen=True, slots=True)
class HostStats:
    """How many migrations are watched, and how many servers with how much memory run here."""

    migrations: int
    servers: int | None = None
    servers_memory_bytes: int | None = None


class Enabled(NamedTuple):
    """Which requests the agent accepts."""

    actions: bool = False
    measurements: bool = False


class Sender:
    """Sends until stopped; :meth:`run` belongs in a thread of its own.

    ``rules``, ``host_stats`` and ``key`` may be replaced at any time. Every heartbeat interval it
    sends a heartbeat, with other reports or alone, once it has ``host_stats``. A change of
    which requests the agent accepts is sent at once. ``on_destinations`` is called with the hosts
    that migrations go to, ``on_expected`` with what was known of them before they began, both by
    the migrations' UUIDs, as a conductor reports them.
    ``loop_age_seconds`` returns how long ago the agent's loop began its turn: this thread goes on
    where that hangs.
    """

    def __init__(
        self,
        outbox: Outbox,
        conductor: ConductorAPI,
        address: Address,
        rules: Rules,
        on_destinations: Callable[[Mapping[str, str]], None] = lambda found: None,
        loop_age_seconds: Callable[[], float | None] = lambda: None,
        on_expected: Callable[[Mapping[str, Expectation]], None] = lambda found: None,
    ) -> None:
        self.rules = rules
        self._outbox = outbox
        self._conductor = conductor
        self._address = address
        self._enabled = self._reported_enabled = Enabled()
        self._on_destinations = on_destinations
        self._on_expected = on_expected
        self._loop_age_seconds = loop_age_seconds
        self._flow_control = FlowControl(
            rules.report_interval_seconds, rules.heartbeat_interval_seconds
        )
        self.host_stats: HostStats | None = None
        self.key: str | None = None
        self._started_at = self._answered_at = self._beats_at = time.monotonic()
        self._stopping = threading.Event()
        self._lines = LogLimit()
        self._refusals = LogLimit()
        self._party: outages.Party | None = None
        self._fault = outages.Party(
            LOG, "reports to the conductors", REPORTS_WAIT, "report the first traceback as a bug"
        )
        # Until the next attempt, if one fails now; None if there is no other attempt.
        self._next_try_seconds: float | None = None

    @property
    def flow_control(self) -> FlowControl:
        """The flow control in force: how often this host may report progress."""
        rules = self.rules
        return self._flow_control.asked(
            rules.report_interval_seconds, rules.heartbeat_interval_seconds
        )

    def run(self) -> None:
        retry_seconds = _RETRY_SECONDS[0]
        while not self._stopping.is_set():
            now = time.monotonic()
            again = self._outbox.next_arrival_in(now)
            beat = self.beats_in(now) if self.host_stats else _WITHOUT_STATS_SECONDS
            self._outbox.wait(beat if again is None else min(beat, again))
            # At random, so that the agents do not reconnect all at once.
            self._next_try_seconds = pause = retry_seconds * random.uniform(0.5, 1.0)  # noqa: S311
            if self._try_to_send():
                retry_seconds = _RETRY_SECONDS[0]
                continue
            self._stopping.wait(pause)
            retry_seconds = min(2 * retry_seconds, _RETRY_SECONDS[1])
        self._next_try_seconds = None

    def set_enabled(self, enabled: Enabled) -> None:
        """Set which requests the agent accepts: it does as soon as its endpoint listens."""
        self._enabled = enabled
        self._outbox.wake()

    def stop(self) -> None:
        """End :meth:`run`; what is in the outbox stays there."""
        self._stopping.set()
        self._outbox.wake()

    def _try_to_send(self) -> bool:
        try:
            return self.send()
        except Exception as error:
            # An unexpected error: log it and go on, or nothing would be reported any more.
            if not self._fault.is_failing:
                LOG.exception(
                    "failed to send reports to the conductors; they are kept and sent later; "
                    "report this traceback as a bug"
                )
            self._fault.failed(f"{type(error).__name__}: {error}", self._next_try_seconds)
            return False

    def send(self) -> bool:
        """Send what is due now, if anything; return False when no conductor took it."""
        now = time.monotonic()
        load, agent = self._outbox.load(now), self._agent(now)
        if not load and agent is None:
            return True
        # Progress needs no answer; but one is requested now and then, to measure how fast the
        # conductors respond, and each time while they are slow.
        silent_seconds = now - self._answered_at
        acknowledged = bool(load) and (
            load.needs_ack
            or self._flow_control.is_stretched
            or silent_seconds >= self.rules.heartbeat_interval_seconds
        )
        try:
            ack = self._deliver(load, agent, acknowledged)
        except Unreachable as error:
            self._failed(error)
            return False
        if acknowledged:
            self._answered_at = time.monotonic()
            took_seconds = self._answered_at - now
            metrics.called(took_seconds)
            slow = f"the last answer took {describe(took_seconds)}"
            self._set_flow_control(
                self.flow_control.answered(took_seconds, self._answered_at), slow
            )
        else:
            metrics.cast()
        self._outbox.sent(load, ack, time.monotonic())
        self._fault.worked()
        if agent is not None:
            # At random, so that agents started together do not send heartbeats together.
            spread = random.uniform(0.8, 1.0)  # noqa: S311
            self._beats_at = now + spread * self.rules.heartbeat_interval_seconds
            self._reported_enabled = Enabled(
                bool(agent.actions_enabled), bool(agent.measurements_enabled)
            )
        return True

    def beats_in(self, now: float) -> float:
        """Return the seconds until the next heartbeat is due, 0 if it is."""
        is_changed = self._enabled != self._reported_enabled
        return 0.0 if is_changed else max(0.0, self._beats_at - now)

    def _agent(self, now: float) -> Agent | None:
        """Return the heartbeat, if it is due."""
        host_stats = self.host_stats
        if host_stats is None or self.beats_in(now) > 0:
            return None
        loop_age_seconds = self._loop_age_seconds()
        return Agent(
            version=RELEASE,
            started_at=round(clock.wall(self._started_at), 3),
            report_interval_seconds=round(self.flow_control.interval_seconds, 3),
            heartbeat_interval_seconds=self.rules.heartbeat_interval_seconds,
            migrations=host_stats.migrations,
            servers=host_stats.servers,
            servers_memory_bytes=host_stats.servers_memory_bytes,
            actions_enabled=self._enabled.actions,
            measurements_enabled=self._enabled.measurements,
            key=self.key,
            loop_age_seconds=None if loop_age_seconds is None else round(loop_age_seconds, 1),
        )

    def _failed(self, error: Unreachable) -> None:
        if self._party is None or self._party.name != error.where:
            self._party = outages.party(LOG, error.where, REPORTS_WAIT, outages.CHECK_BROKER)
        self._party.failed(error.cause, self._next_try_seconds, refused=error.is_refusal)
        metrics.failed()
        self._set_flow_control(
            self.flow_control.unanswered(time.monotonic()), "no conductor is reached"
        )

    def _set_flow_control(self, new: FlowControl, why_longer: str) -> None:
        if new.is_stretched and not self._flow_control.is_stretched:
            LOG.info("report interval raised to %.1f s: %s", new.interval_seconds, why_longer)
        elif self._flow_control.is_stretched and not new.is_stretched:
            LOG.info("report interval back to %.1f s: conductors keep up", new.interval_seconds)
        self._flow_control = new
        metrics.interval(self._address.node, new.interval_seconds)

    def _log_dropped(self, dropped: Dropped) -> None:
        metrics.dropped(dropped.count)
        if self._lines.held_back("dropped", time.monotonic()) is not None:
            LOG.warning(
                "%d invalid value(s) from libvirt are left out of reports, the rest is sent: %s; "
                "check the versions of libvirt and QEMU, and report the value as a bug",
                *(dropped.count, dropped.first),
            )

    def _log_refused(self, ack: Ack) -> None:
        entry, why = next(iter(ack.refused.items()))
        # By the field that the refusal is about: repeated entries are refused again.
        held_back = self._refusals.held_back(why.partition(":")[0], time.monotonic())
        if held_back is None:
            return
        LOG.error(
            "the conductor refused %d report(s) or arrival(s), which are dropped; the first is "
            "%s: %s%s; check this host's name, clock and migprog version",
            *(len(ack.refused), shown(entry), shown(why)),
            f" ({held_back} more answers like this since the last line)" if held_back else "",
        )

    def _deliver(self, load: Load, agent: Agent | None, acknowledged: bool) -> Ack | None:
        batch = Batch(
            host=self._address.host,
            node=self._address.node,
            address=self._address.ip,
            reports=load.reports,
            arrivals=load.arrivals,
            measurements=load.measurements,
            agent=agent,
            sent_at=round(clock.wall(time.monotonic()), 3),
        )
        # The first report of a migration is acknowledged: later casts may omit lasting facts.
        dropped = Dropped()
        wire = batch.to_wire(without=() if acknowledged else LASTING, dropped=dropped)
        if dropped.count:
            self._log_dropped(dropped)
        answer = self._conductor.report(wire, acknowledged=acknowledged)
        if not acknowledged:
            return None
        ack = Ack.from_wire(answer)
        if ack.destinations:
            self._on_destinations(ack.destinations)
        if ack.expected:
            self._on_expected(ack.expected)
        if ack.refused:
            self._log_refused(ack)
        return ack

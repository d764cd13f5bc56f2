# SPDX-License-Identifier: Apache-2.0
"""The agent of one host: one loop that takes in what libvirt tells and decides what to ask next.

All that it knows is touched by this loop alone; threads that block (libvirt's, the sender's) only
hand over. So nothing here needs a lock, and no domain waits for another.
"""

import dataclasses
import logging
import random
import threading
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from migprog.compute import domain_xml, host, messages
from migprog.compute.monitor import DEPARTURES, Monitor
from migprog.compute.outbox import Outbox
from migprog.compute.recorder import Limits, Recorder, Tape
from migprog.compute.sampler import Sampler
from migprog.compute.sender import Address, Sender, Vitals
from migprog.concurrency import Inbox
from migprog.conductor import rpcapi
from migprog.core import sample, throttle
from migprog.core.report import Arrival, ArrivalState
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# libvirt-domain.h: what a destination sees of a server that arrives.
_ARRIVALS = {
    (2, 1): ArrivalState.INCOMING,
    (4, 1): ArrivalState.RESUMED,
    (4, 3): ArrivalState.RESUMED,
}
_STOP_SECONDS = 5.0
# Within so long of a migration's end, what libvirt tells of the server may still belong to it.
_ECHO_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent's configuration says; see conf/compute.py for units and ranges."""

    libvirt_uri: str
    host: str | None
    my_ip: str | None
    poll_interval_seconds: float
    scan_interval_seconds: float
    qemu_events: bool
    libvirt_timeout_seconds: float
    rules: throttle.Rules
    record_dir: str | None
    record_limits: Limits


@dataclass(slots=True)
class _Watched:
    """``judge_at``: when to see whether there is something to tell, if nothing is seen before."""

    monitor: Monitor
    sampler: Sampler
    tape: Tape
    next_poll_at: float
    judge_at: float
    hung: bool = False

    def learn(self, facts: domain_xml.Facts | None) -> None:
        self.monitor.learn(facts)
        if facts is not None:
            self.tape.facts = facts


class ComputeManager:
    """Watches one libvirt and reports to the conductor behind ``conductor``."""

    def __init__(self, settings: Settings, conductor: rpcapi.ConductorAPI) -> None:
        self._settings = settings
        self._conductor = conductor
        self._outbox = Outbox()
        self._inbox = Inbox()
        self._host = host.Host(
            settings.libvirt_uri,
            self._inbox,
            settings.scan_interval_seconds,
            settings.qemu_events,
        )
        self._recorder = Recorder(settings.record_dir, settings.record_limits)
        self._watched: dict[str, _Watched] = {}
        self._ended_at: dict[str, float] = {}
        # Of the migrations that this host has seen end; the latest counts for half.
        self._handover_seconds: float | None = None
        self._beat = throttle.Beat(time.monotonic())
        self._sender: Sender | None = None
        self._node: str | None = None
        self._hosted: messages.Hosted | None = None
        self._disconnected = False
        self._stopping = False
        self._loop = threading.Thread(
            target=self._run, name=f"agent {settings.libvirt_uri}", daemon=True
        )
        self._sending: threading.Thread | None = None

    def start(self) -> None:
        self._host.start()
        self._loop.start()

    def stop(self) -> None:
        """Stop watching, and try once more to hand over what was not told yet."""
        self._stopping = True
        self._host.stop()
        self._inbox.put(None)
        self._loop.join(_STOP_SECONDS)
        self._recorder.stop()
        if self._sender is not None and self._sending is not None:
            self._sender.stop()
            self._sending.join(_STOP_SECONDS)
            if not self._sending.is_alive() and not self._outbox.empty:
                self._sender.send()

    def reload(self, settings: Settings) -> None:
        """Take up new intervals; the rest of the settings stays as it was at the start."""
        self._settings = settings
        self._host.scan_interval_seconds = settings.scan_interval_seconds
        if self._sender is not None and self._node is not None:
            self._sender.rules = settings.rules
            metrics.interval(self._node, self._sender.pacing.interval_seconds)
        self._inbox.put(None)

    def _run(self) -> None:
        while not self._stopping:
            seen_of = set()
            for message in self._inbox.get_all(self._seconds_to_wait()):
                seen_of.add(getattr(message, "server_uuid", None))
                try:
                    self._take(message)
                except Exception:
                    LOG.exception("%s: a message of libvirt's was lost", self._settings.libvirt_uri)
            self._attend_all(time.monotonic(), seen_of)
        for watched in self._watched.values():
            watched.sampler.stop()

    def _seconds_to_wait(self) -> float:
        # Nothing to watch: libvirt's thread searches by itself and wakes this loop.
        if not self._watched:
            return 3600.0
        # Whoever waits for an answer is woken by it.
        polls = [w.next_poll_at for w in self._watched.values() if w.sampler.asked_at is None]
        due = min([*polls, *(w.judge_at for w in self._watched.values())])
        return max(0.0, due - time.monotonic())

    def _take(self, message: messages.Message | None) -> None:
        match message:
            case messages.Connected():
                self._connected(message)
            case messages.Disconnected():
                if not self._disconnected:
                    LOG.warning("%s: no libvirt: %s", self._settings.libvirt_uri, message.error)
                self._disconnected = True
                self._hosted = None
            case messages.Hosted():
                self._hosted = message
            case messages.Reading():
                self._take_reading(message)
            case messages.Iteration():
                watched = self._watch(message.server_uuid, message.at)
                watched.monitor.pass_begins(message.at)
                watched.tape.event("iteration", message.at, iteration=message.number)
                watched.next_poll_at = message.at
            case messages.Lifecycle():
                self._take_lifecycle(message)
            case messages.JobEvent():
                self._take_job_event(message)
            case messages.JobCompleted() if sample.is_outgoing(message.stats):
                watched = self._watch(message.server_uuid, message.at)
                watched.learn(message.facts)
                watched.monitor.job_completed(message.stats, message.at)
                watched.tape.event("job_completed", message.at, stats=dict(message.stats))

    def _connected(self, message: messages.Connected) -> None:
        self._node = node = message.node
        self._recorder.versions = {
            "libvirt": message.libvirt_version,
            "hypervisor": message.hypervisor_version,
        }
        LOG.info("%s: watching the migrations of %s", self._settings.libvirt_uri, node)
        if message.without_qemu_events is not None:
            LOG.warning(
                "%s: QEMU's events are refused; some aborted migrations will be told as failed: %s",
                *(self._settings.libvirt_uri, message.without_qemu_events),
            )
        self._disconnected = False
        if self._sender is None:
            address = Address(self._settings.host or node, node, self._settings.my_ip)
            self._recorder.host = address.host
            rules = self._settings.rules
            self._sender = Sender(self._outbox, self._conductor, address, rules)
            metrics.interval(node, rules.report_interval_seconds)
            self._sending = threading.Thread(
                target=self._sender.run, name=f"sender {node}", daemon=True
            )
            self._sending.start()

    def _take_reading(self, reading: messages.Reading) -> None:
        watched = self._watched.get(reading.server_uuid)
        if watched is None:
            if reading.stats is None:
                return
            if sample.outgoing_job(reading.stats) is not sample.JobState.ACTIVE:
                return
            if reading.at <= self._ended_at.get(reading.server_uuid, reading.at - 1):
                return
            watched = self._watch(reading.server_uuid, reading.at)
        if watched.hung:
            LOG.info("server %s: libvirt answers again", reading.server_uuid)
        watched.hung = False
        watched.sampler.asked_at = None
        watched.learn(reading.facts)
        if reading.stats is not None:
            watched.monitor.read(reading.stats, reading.pause_limit_seconds, reading.at)
            watched.tape.sample(reading.stats, reading.pause_limit_seconds, reading.at)
            return
        watched.tape.no_sample(reading.error, reading.error_code, reading.at)
        if reading.gone:
            watched.monitor.gone(reading.error or "", reading.at)
        else:
            LOG.debug("server %s: no data: %s", reading.server_uuid, reading.error)

    def _take_job_event(self, event: messages.JobEvent) -> None:
        watched = self._watched.get(event.server_uuid)
        if watched is None:
            return
        # libvirt shows for a moment only whether a job that ends was aborted or has failed.
        watched.next_poll_at = event.at
        if event.qemu_status is not None:
            watched.monitor.qemu_migration(event.qemu_status, event.at)
            watched.tape.event("qemu_migration", event.at, status=event.qemu_status)

    def _take_lifecycle(self, message: messages.Lifecycle) -> None:
        kind = (message.event, message.detail)
        if kind in _ARRIVALS and message.server_uuid not in self._watched:
            wall = time.time() - (time.monotonic() - message.at)
            arrival = Arrival(server_uuid=message.server_uuid, state=_ARRIVALS[kind], at=wall)
            self._outbox.put_arrival(arrival, message.at)
            return
        if message.server_uuid not in self._watched:
            echo = (
                message.at < self._ended_at.get(message.server_uuid, -_ECHO_SECONDS) + _ECHO_SECONDS
            )
            if kind not in DEPARTURES or echo:
                return
        watched = self._watch(message.server_uuid, message.at)
        watched.learn(message.facts)
        watched.monitor.lifecycle(message.event, message.detail, message.at)
        code, detail = kind
        watched.tape.event("lifecycle", message.at, code=code, detail=detail)

    def _watch(self, server_uuid: str, at: float) -> _Watched:
        """The watched migration of a server; begins to watch it if need be."""
        if server_uuid not in self._watched:
            LOG.info("server %s: a live migration is under way", server_uuid)
            monitor = Monitor(str(uuid.uuid4()), server_uuid, at, self._handover_seconds)
            sampler = self._host.sampler(server_uuid)
            tape = self._recorder.tape(server_uuid, self._handover_seconds)
            self._watched[server_uuid] = _Watched(monitor, sampler, tape, at, at)
        return self._watched[server_uuid]

    def _attend_all(self, now: float, seen_of: Collection[str | None]) -> None:
        """Report what is due, and ask for the readings that are. ``seen_of``: whose news came.

        To judge a migration costs more than all the rest. So it is done when there is news of it,
        and for all of them when the host may tell of progress.
        """
        rules = self._settings.rules
        if self._sender is not None:
            interval_seconds = self._sender.pacing.interval_seconds
            rules = dataclasses.replace(rules, report_interval_seconds=interval_seconds)
        rules_now, beats = self._beat.rules(rules, now), now >= self._beat.next_at
        for server_uuid, watched in list(self._watched.items()):
            try:
                if beats or server_uuid in seen_of or now >= watched.judge_at:
                    self._judge(watched, rules_now, now)
                if not watched.monitor.over:
                    self._ask(watched, now)
            except Exception:
                LOG.exception("server %s: no report", watched.monitor.server_uuid)
        if self._sender is not None and self._node is not None:
            self._sender.vitals = self._vitals()
            metrics.watched(self._node, len(self._watched))
        self._beat = self._beat.after(now, rules.report_interval_seconds, random.random())  # noqa: S311

    def _vitals(self) -> Vitals:
        if self._hosted is None:
            return Vitals(len(self._watched))
        return Vitals(len(self._watched), self._hosted.servers, self._hosted.memory_bytes)

    def _judge(self, watched: _Watched, rules: throttle.Rules, now: float) -> None:
        """Report what is due."""
        # The next reading will come before, if none hangs.
        watched.judge_at = now + 2 * self._settings.poll_interval_seconds
        due = watched.monitor.report_if_due(rules, now, time.time())
        if due is not None:
            reason, report = due
            log = LOG.info if reason is throttle.Reason.STATUS else LOG.debug
            log("server %s: %s: %s", report.server_uuid, reason, report.status)
            metrics.told(reason)
            self._outbox.put_report(report, reason in throttle.ACKNOWLEDGED)
            if watched.monitor.over:
                watched.tape.end(report.status, report.error, now)
        if watched.monitor.over:
            self._forget(watched, now)

    def _forget(self, watched: _Watched, now: float) -> None:
        took = watched.monitor.handover_seconds
        if took is not None:
            before = self._handover_seconds
            self._handover_seconds = took if before is None else (before + took) / 2
        watched.sampler.stop()
        del self._watched[watched.monitor.server_uuid]
        self._ended_at = {k: t for k, t in self._ended_at.items() if t > now - _ECHO_SECONDS}
        self._ended_at[watched.monitor.server_uuid] = now

    def _ask(self, watched: _Watched, now: float) -> None:
        settings, sampler = self._settings, watched.sampler
        if sampler.asked_at is None:
            if now >= watched.next_poll_at:
                # At the same ticks for all of them: to wake up once costs less than once for each.
                interval_seconds = settings.poll_interval_seconds
                watched.next_poll_at = (now // interval_seconds + 1) * interval_seconds
                sampler.ask(now)
        elif not watched.hung and now - sampler.asked_at > settings.libvirt_timeout_seconds:
            watched.hung = True
            LOG.warning(
                "server %s: libvirt has not answered for %.0f s; no data until it does",
                watched.monitor.server_uuid,
                now - sampler.asked_at,
            )

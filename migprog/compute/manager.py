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
from collections.abc import Callable, Collection, Mapping
from typing import Any

from migprog.compute import arrivals, clock, host, messages, resume, statedir
from migprog.compute.actions import Actions
from migprog.compute.echo import Echo
from migprog.compute.endpoint import Endpoint, Request
from migprog.compute.keeper import Keeper, Loaded, Written
from migprog.compute.ledger import Ledger
from migprog.compute.monitor import DEPARTURES, Monitor
from migprog.compute.recorder import Recorder
from migprog.compute.sender import Address, Sender, Vitals
from migprog.compute.settings import Settings
from migprog.compute.watched import Watched
from migprog.concurrency import Inbox
from migprog.conductor import rpcapi
from migprog.core import keep, sample, throttle
from migprog.core.completion import CompletionTimes
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
_STOP_SECONDS = 5.0
# So long what an agent before has left is waited for, before anything is looked at.
_LOAD_SECONDS = 5.0


class ComputeManager:
    """Watches one libvirt and reports to the conductor behind ``conductor``.

    ``listen`` has an endpoint served by the name of its host, in a thread of its own; without it
    nothing is done to a migration.
    """

    def __init__(
        self,
        settings: Settings,
        conductor: rpcapi.ConductorAPI,
        listen: Callable[[str, Endpoint], None] | None = None,
    ) -> None:
        self._settings = settings
        self._conductor = conductor
        self._inbox = Inbox()
        self._keeper: Keeper | None = None
        if settings.state_dir:
            directory = statedir.StateDir(settings.state_dir, settings.libvirt_uri)
            self._keeper = Keeper(directory, self._inbox)
        self._ledger = Ledger(self._keeper, settings.libvirt_uri, statedir.boot_id())
        self._loaded = self._keeper is None
        self._host = host.Host(
            settings.libvirt_uri,
            self._inbox,
            settings.scan_interval_seconds,
            settings.qemu_events,
        )
        self._arrivals = arrivals.Arrivals(self._host.read_completed, self._ledger.tell_arrival)
        self._listen = listen
        self._actions = Actions(self._host.act)
        self._recorder = Recorder(settings.record_dir, settings.record_limits)
        self._watched: dict[str, Watched] = {}
        self._echo = Echo()
        # Of the migrations that this host has seen end.
        self._completions = CompletionTimes()
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
        if self._keeper is not None:
            self._keeper.start()
        self._loop.start()

    def stop(self) -> None:
        """Stop watching, and try once more to hand over what was not told yet."""
        self._stopping = True
        self._host.stop()
        self._inbox.put(None)
        self._loop.join(_STOP_SECONDS)
        self._recorder.stop()
        self._ledger.release_all(time.monotonic())
        if self._sender is not None and self._sending is not None:
            self._sender.stop()
            self._sending.join(_STOP_SECONDS)
            if not self._sending.is_alive() and not self._ledger.outbox.empty:
                self._sender.send()
        if self._keeper is not None:
            self._keeper.stop()

    def reload(self, settings: Settings) -> None:
        """Take up new intervals; the rest of the settings stays as it was at the start."""
        self._settings = settings
        self._host.scan_interval_seconds = settings.scan_interval_seconds
        if self._sender is not None and self._node is not None:
            self._sender.rules = settings.rules
            metrics.interval(self._node, self._sender.pacing.interval_seconds)
        self._inbox.put(None)

    def _run(self) -> None:
        give_up_at = time.monotonic() + _LOAD_SECONDS
        while not (self._loaded or self._stopping) and time.monotonic() < give_up_at:
            self._take_all(give_up_at - time.monotonic())
        if not (self._loaded or self._stopping):
            self._ledger.fails("it is not read yet")
        if not self._stopping:
            self._host.start()
        while not self._stopping:
            seen_of = self._take_all(self._seconds_to_wait())
            now = time.monotonic()
            self._arrivals.release(now)
            self._actions.look(now, self._settings.libvirt_timeout_seconds)
            self._attend_all(now, seen_of)
            self._ledger.release(now)
        for watched in self._watched.values():
            watched.sampler.stop()

    def _take_all(self, seconds: float) -> set[str | None]:
        """Take in what is told, or will be within so long; of which servers it was."""
        seen_of = set()
        for message in self._inbox.get_all(seconds):
            seen_of.add(getattr(message, "server_uuid", None))
            try:
                self._take(message)
            except Exception:
                LOG.exception("%s: a message was lost", self._settings.libvirt_uri)
        return seen_of

    def _seconds_to_wait(self) -> float:
        # With nothing to watch, libvirt's thread searches by itself and wakes this loop.
        # Whoever waits for an answer is woken by it.
        polls = [w.next_poll_at for w in self._watched.values() if w.sampler.asked_at is None]
        judged = [w.judge_at for w in self._watched.values()]
        acting = self._actions.next_look_at(self._settings.libvirt_timeout_seconds)
        late = (self._ledger.late_at, self._arrivals.late_at, acting)
        late_at = [at for at in late if at is not None]
        due = min([*polls, *judged, *late_at], default=time.monotonic() + 3600.0)
        return max(0.0, due - time.monotonic())

    def _take(self, message: messages.Message | Loaded | Written | Request | None) -> None:
        match message:
            case Loaded():
                self._take_up_all(message)
            case Written():
                self._ledger.take(message, time.monotonic())
            case messages.Arrived():
                self._arrivals.take(message)
            case messages.Found():
                self._arrivals.found(message.server_uuids)
            case Request():
                watched = self._watched.get(message.target.server_uuid)
                monitor = None if watched is None else watched.monitor
                self._actions.take(message, monitor, time.monotonic())
            case messages.Acted():
                self._actions.done(message)
            case None:
                pass
            case _:
                self._take_news(message)

    def _take_news(self, message: messages.Message) -> None:
        match message:
            case messages.Connected():
                self._connected(message)
            case messages.Disconnected():
                if not self._disconnected:
                    LOG.warning("%s: no libvirt: %s", self._settings.libvirt_uri, message.error)
                self._disconnected = True
                self._hosted = None
                self._arrivals.blind()
            case messages.Hosted():
                self._hosted = message
            case messages.Reading():
                self._take_reading(message)
            case messages.Iteration() if not self._is_echo(message):
                watched = self._watch(message.server_uuid, message.at)
                watched.monitor.pass_begins(message.at)
                watched.tape.event("iteration", message.at, iteration=message.number)
                watched.next_poll_at = message.at
            case messages.Lifecycle():
                self._take_lifecycle(message)
            case messages.JobEvent():
                self._take_job_event(message)
            case messages.JobCompleted() if sample.is_outgoing(message.stats) and not self._is_echo(
                message, message.stats
            ):
                watched = self._watch(message.server_uuid, message.at)
                watched.learn(message.facts)
                watched.monitor.job_completed(message.stats, message.at)
                watched.tape.event("job_completed", message.at, stats=dict(message.stats))

    def _is_echo(
        self,
        message: messages.Iteration | messages.JobCompleted,
        stats: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether it is of a migration that is not watched any more, as it has ended."""
        uuid = message.server_uuid
        return uuid not in self._watched and self._echo.is_of(uuid, message.at, stats)

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
            takes_actions = self._listen is not None
            self._sender = Sender(
                self._ledger.outbox, self._conductor, address, rules, takes_actions
            )
            metrics.interval(node, rules.report_interval_seconds)
            self._sending = threading.Thread(
                target=self._sender.run, name=f"sender {node}", daemon=True
            )
            self._sending.start()
            if self._listen is not None:
                threading.Thread(
                    target=self._listen,
                    args=(address.host, Endpoint(self._inbox)),
                    name=f"listen {node}",
                    daemon=True,
                ).start()

    def _take_up_all(self, loaded: Loaded) -> None:
        """Go on with what an agent before has left."""
        self._loaded = True
        self._ledger.fails(loaded.error)
        if loaded.contents is None:
            return
        for remark in loaded.contents.remarks:
            LOG.warning("%s", remark)
        now = time.monotonic()
        wall = clock.wall(now)
        for kept in self._ledger.load(loaded.contents.entries, now, wall):
            if kept.server_uuid in self._watched:
                self._ledger.lost(kept, keep.LEFT_UNREAD, now, wall)
            else:
                LOG.info("server %s: looking for its migration %s", kept.server_uuid, kept.uuid)
                self._watch(kept.server_uuid, now, kept)

    def _take_reading(self, reading: messages.Reading) -> None:
        watched = self._watched.get(reading.server_uuid)
        if watched is None:
            if reading.stats is None:
                return
            if sample.outgoing_job(reading.stats) is not sample.JobState.ACTIVE:
                return
            if self._echo.is_of(reading.server_uuid, reading.at, reading.stats):
                return
            watched = self._watch(reading.server_uuid, reading.at)
        if watched.hung:
            LOG.info("server %s: libvirt answers again", reading.server_uuid)
        watched.hung = False
        watched.sampler.asked_at = None
        watched.learn(reading.facts)
        if watched.monitor.kept is not None:
            watched = self._look_for(watched, watched.monitor.kept, reading)
            if watched.monitor.kept is not None:
                return
        watched.monitor.turned(reading.phase)
        if reading.stats is not None:
            seen = (reading.stats, reading.pause_limit_seconds, reading.at, reading.disks)
            watched.monitor.read(*seen)
            watched.tape.sample(*seen)
            return
        watched.tape.no_sample(reading.error, reading.error_code, reading.at)
        if reading.gone:
            watched.monitor.gone(reading.error or "", reading.at)
        else:
            LOG.debug("server %s: no data: %s", reading.server_uuid, reading.error)

    def _look_for(self, watched: Watched, kept: keep.Kept, reading: messages.Reading) -> Watched:
        """Look for what an agent before has left; gives what the reading is of."""
        now = time.monotonic()
        if not resume.look(watched.monitor, kept, reading, time.time() - now):
            return watched
        # A search would take the job that runs for the rest of the one that has ended.
        self._judge(watched, self._settings.rules, now)
        return self._watch(reading.server_uuid, reading.at)

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
        if message.server_uuid not in self._watched and (
            self._arrivals.seen(message, self._settings.libvirt_timeout_seconds)
            or kind not in DEPARTURES
            or self._echo.may_be(message.server_uuid, message.at)
        ):
            return
        watched = self._watch(message.server_uuid, message.at)
        watched.learn(message.facts)
        watched.monitor.lifecycle(message.event, message.detail, message.at)
        code, detail = kind
        watched.tape.event("lifecycle", message.at, code=code, detail=detail)

    def _watch(self, server_uuid: str, at: float, kept: keep.Kept | None = None) -> Watched:
        """The watched migration of a server; begins to watch it if need be.

        ``kept`` is what an agent before has left of it.
        """
        if server_uuid not in self._watched:
            name = str(uuid.uuid4()) if kept is None else kept.uuid
            if kept is None:
                LOG.info("server %s: migration %s is under way", server_uuid, name)
            handover_seconds = self._completions.expected_seconds
            poll_interval_seconds = self._settings.poll_interval_seconds
            monitor = Monitor(name, server_uuid, at, handover_seconds, kept, poll_interval_seconds)
            sampler = self._host.sampler(server_uuid, left=kept is not None)
            tape = self._recorder.tape(server_uuid, handover_seconds)
            self._watched[server_uuid] = Watched(monitor, sampler, tape, at, at)
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
                    watched.ask(self._settings, now)
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

    def _judge(self, watched: Watched, rules: throttle.Rules, now: float) -> None:
        """Report what is due."""
        # The next reading will come before, if none hangs.
        watched.judge_at = now + 2 * self._settings.poll_interval_seconds
        due = watched.monitor.report_if_due(rules, now, clock.wall(now))
        if due is not None:
            reason, report = due
            watched.log.sent(reason, report, now)
            metrics.told(reason)
            needs_ack = reason in throttle.ACKNOWLEDGED
            self._ledger.tell(report, needs_ack, watched.monitor.started_clock, now)
            if watched.monitor.over:
                watched.tape.end(report.status, report.error, now)
        if watched.monitor.over:
            self._forget(watched, now)

    def _forget(self, watched: Watched, now: float) -> None:
        took = watched.monitor.handover_seconds
        if took is not None:
            self._completions = self._completions.after(took)
        watched.sampler.stop()
        del self._watched[watched.monitor.server_uuid]
        monitor = watched.monitor
        self._echo.ended(monitor.server_uuid, monitor.ended_clock or now, now)

# SPDX-License-Identifier: Apache-2.0
"""The agent of one host: one loop that handles what libvirt reports and decides what to ask next.

Only this loop touches the agent's state, and after it ``stop``, which waits for its end a moment.
Other threads (libvirt's, the sender's, the one that handles SIGHUP) only pass messages to it. So
nothing here needs a lock, and no domain waits for another.
"""

import logging
import threading
import time
from collections.abc import Callable

from migprog import exception, loops, systemd
from migprog.compute import arrivals, clock, listening
from migprog.compute.actions import Actions
from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.endpoint import Request
from migprog.compute.host_metrics import HostMetrics
from migprog.compute.hypervisor import Hypervisor
from migprog.compute.libvirt import host, loop_messages
from migprog.compute.libvirt.steering_actions import SteeringResult
from migprog.compute.measuring import MeasureAllRequest, MeasureRequest, Measuring
from migprog.compute.other_agent import Wait
from migprog.compute.reporting.sender import Address, HostStats
from migprog.compute.reporting.sender_thread import SenderThread
from migprog.compute.settings import Settings
from migprog.compute.state.directory import StateDirectory, boot_id, new_key
from migprog.compute.state.journal import Journal
from migprog.compute.state.writer import (
    Awaited,
    FreeSpace,
    Loaded,
    StateWriter,
    Written,
)
from migprog.compute.steering import Steering
from migprog.compute.watchlist import WatchList
from migprog.concurrency import Inbox
from migprog.core.checkpoint import LEFT_UNREAD
from migprog.core.observation import Observation, OfServer
from migprog.metrics import agent as metrics
from migprog.recording.writer import Recorder
from migprog.rpc import conductor

LOG = logging.getLogger(__name__)
_OfDisk = Loaded | Awaited | Written | FreeSpace
_STOP_SECONDS = 5.0
# How long to wait for the state of an earlier agent before anything is monitored.
_LOAD_SECONDS = 5.0
# Opening a connection to libvirt, maybe by TLS or ssh, may take so many times libvirt_timeout.
_OPEN_TIMEOUTS = 3


class ComputeAgent:
    """Watches one libvirt and reports to the conductor behind ``conductor``.

    ``listen``: see :mod:`migprog.compute.listening`; without it no request is received. ``fail`` is
    called, in any thread, with why the agent cannot go on: another watches its hypervisor, or its
    loop failed.
    """

    def __init__(
        self,
        settings: Settings,
        conductor: conductor.ConductorAPI,
        listen: listening.Listen | None = None,
        fail: Callable[[exception.MigprogError], None] | None = None,
    ) -> None:
        self._settings = settings
        self._inbox = Inbox()
        self._state_writer: StateWriter | None = None
        if settings.state_path:
            directory = StateDirectory(settings.state_path, settings.connection_uri)
            self._state_writer = StateWriter(directory, self._inbox)
        self._journal = Journal(self._state_writer, settings.connection_uri, boot_id())
        metrics.oldest_report(
            settings.connection_uri, lambda: self._journal.outbox.oldest_seconds(time.monotonic())
        )
        self._loop_age_seconds: Callable[[], float | None] = lambda: None
        self._loaded = self._state_writer is None
        self._host = host.Host(
            settings.connection_uri,
            self._inbox,
            settings.scan_interval_seconds,
            settings.qemu_events,
            _OPEN_TIMEOUTS * settings.libvirt_timeout_seconds,
        )
        self._host.read_for(steers=settings.steers, bandwidth=settings.reads_bandwidth)
        self._arrivals = arrivals.Arrivals(self._host.read_completed, self._journal.report_arrival)
        self._listen = listen
        self._in_progress = ActionsInProgress()
        self._steering = Steering(
            *(settings.steering_mode, settings.policies, self._host.steer, self._in_progress),
            since=time.monotonic(),
        )
        self._actions = Actions(self._host.act, self._in_progress)
        self._measuring = Measuring(
            *(settings.measuring, self._host.measure, self._host.servers),
            *(self._journal.outbox.put_measurement, clock.wall),
        )
        self._recorder = Recorder(settings.record_path, settings.record_limits)
        self._recorder.measured = self._measuring.newest
        self._metrics = HostMetrics(settings.per_migration_metrics)
        self._watches = WatchList(
            settings=settings,
            sampler=self._host.sampler,
            recorder=self._recorder,
            journal=self._journal,
            steering=self._steering,
            judged=self._metrics.judged,
        )
        self._hypervisor = Hypervisor(settings)
        self._fail = fail
        self._other_agent = Wait(settings.connection_uri)
        self._sending = SenderThread(
            *(self._journal.outbox, conductor, settings.rules),
            key=new_key() if self._loaded else None,
            on_destinations=lambda found: self._inbox.put(loop_messages.Destinations(found)),
            on_expected=lambda found: self._inbox.put(loop_messages.Expectations(found)),
        )
        self._stopping = False
        # How many are in progress; for the thread that shows the status.
        self._migrations = 0
        name = f"agent {settings.connection_uri}"
        self._loop = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        if self._state_writer is not None:
            self._state_writer.start()
        self._loop.start()

    def stop(self, *, cut_off: bool = False) -> None:
        """Stop watching, and try once more to send what was not sent yet.

        With ``cut_off`` the conductors cannot be reached: that is not tried, as it would only take
        as long as a call may.
        """
        self._stopping = True
        self._host.stop()
        self._inbox.wake()
        self._loop.join(_STOP_SECONDS)
        self._recorder.stop()
        self._journal.release_all(time.monotonic())
        self._sending.stop(cut_off=cut_off)
        if self._state_writer is not None:
            self._state_writer.stop()

    def reload(self, settings: Settings) -> None:
        """Use new intervals, and what steering is to do; the rest stays as it was at the start.

        May be called in any thread, before the start, too: the loop applies it in its next turn.
        """
        self._inbox.put(settings)

    def status(self) -> systemd.Status:
        """Return what the agent does; may be called in any thread."""
        return self._hypervisor.status(self._migrations)

    def _run(self) -> None:
        loops.run(f"the agent of {self._settings.connection_uri}", self._watch, self._fail)

    def _watch(self, loop: loops.Loop) -> None:
        self._loop_age_seconds = loop.age_seconds
        metrics.loop_age(self._settings.connection_uri, loop.age_seconds)
        give_up_at = time.monotonic() + _LOAD_SECONDS
        while not (self._loaded or self._stopping) and time.monotonic() < give_up_at:
            self._take_all(give_up_at - time.monotonic())
            if self._other_agent.ends_at is not None:
                # Nothing is watched before it is known who has the state directory.
                give_up_at = self._other_agent.ends_at + _LOAD_SECONDS
        if not (self._loaded or self._stopping):
            self._journal.fails("it was not read in time")
        self._hypervisor.is_awaited(time.monotonic())
        if not self._stopping:
            self._host.start()
        while not self._stopping:
            loop.turned()
            seen_of = self._take_all(self._seconds_to_wait())
            now = time.monotonic()
            self._host.gathering.give_up_late(now)
            self._arrivals.release(now)
            self._in_progress.look(now, self._settings.libvirt_timeout_seconds)
            self._hypervisor.look(now)
            self._attend_all(now, seen_of)
            self._measuring.look(now, self._watches.has_job, is_quiet=not self._migrations)
            self._journal.release(now)
        self._measuring.stop()
        self._watches.stop()
        self._metrics.stop()

    def _take_all(self, seconds: float) -> set[str | None]:
        """Handle the messages that come within ``seconds``; return the servers concerned."""
        seen_of = set()
        for message in self._inbox.get_all(seconds):
            server_uuid = getattr(message, "server_uuid", None)
            seen_of.add(server_uuid)
            try:
                self._take(message)
            except Exception:
                LOG.exception(
                    "server %s: failed to handle %s from %s; it is dropped, and monitoring "
                    "continues; report this traceback as a bug",
                    *(server_uuid or "-", type(message).__name__, self._settings.connection_uri),
                )
        return seen_of

    def _seconds_to_wait(self) -> float:
        due = [
            # With nothing to watch, libvirt's thread searches by itself and wakes this loop.
            time.monotonic() + loops.IDLE_SECONDS,
            self._watches.reporting.next_look_at,
            self._host.gathering.late_at,
            self._journal.late_at,
            self._arrivals.late_at,
            self._in_progress.next_look_at(self._settings.libvirt_timeout_seconds),
            self._hypervisor.next_look_at(),
            self._measuring.next_look_at(),
        ]
        return max(0.0, min(at for at in due if at is not None) - time.monotonic())

    def _take(
        self,
        message: loop_messages.Message
        | _OfDisk
        | Request
        | MeasureRequest
        | MeasureAllRequest
        | Settings,
    ) -> None:
        match message:
            # The most frequent first.
            case Observation():
                self._take_observation(message)
            case OfServer():
                self._take_of_server(message)
            case Loaded(taken=True):
                self._refuse(message.error or "")
            case Loaded():
                self._resume_all(message)
            case Awaited():
                self._await(message.why)
            case Written():
                self._journal.take(message, time.monotonic())
            case FreeSpace():
                metrics.state_path_free(self._settings.connection_uri, message.free_bytes)
            case Request() | MeasureRequest() | MeasureAllRequest():
                self._take_request(message, time.monotonic())
            case Settings():
                self._use(message)
            case _:
                self._take_host(message)

    def _use(self, settings: Settings) -> None:
        self._settings = self._hypervisor.settings = settings
        self._host.search_every(settings.scan_interval_seconds)
        self._watches.reporting.settings = settings
        self._metrics.per_migration = settings.per_migration_metrics
        self._host.read_for(steers=settings.steers, bandwidth=settings.reads_bandwidth)
        self._steering.use(settings.steering_mode, settings.policies)
        self._measuring.rules = settings.measuring
        self._sending.use_rules(settings.rules)

    def _take_request(
        self, request: Request | MeasureRequest | MeasureAllRequest, now: float
    ) -> None:
        if isinstance(request, MeasureRequest):
            self._measuring.take(request, self._watches.has_job, now)
        elif isinstance(request, MeasureAllRequest):
            self._measuring.take_all(request, self._watches.has_job)
        else:
            self._actions.take(request, self._watches.monitor(request.target.server_uuid), now)

    def _take_observation(self, seen: Observation) -> None:
        leaves = seen.server_uuid in self._watches
        timeout_seconds = self._settings.libvirt_timeout_seconds
        if leaves or not self._arrivals.seen(seen, timeout_seconds):
            self._watches.take(seen)

    def _take_of_server(self, message: OfServer) -> None:
        match message:
            case loop_messages.ArrivalStats():
                self._arrivals.take(message)
                self._watches.arrived(message)
            case loop_messages.ActionResult():
                self._actions.done(message)
            case SteeringResult():
                self._steering.done(message)
            case loop_messages.MeasuringBegan() | loop_messages.MeasuringEnded():
                self._measuring.seen(message, time.monotonic())
            case loop_messages.NoAnswer() | loop_messages.AnswersAgain():
                self._hypervisor.take(message, time.monotonic())

    def _take_host(self, message: loop_messages.Message) -> None:
        now = time.monotonic()
        match message:
            case loop_messages.Connected():
                self._connected(message)
            case loop_messages.Disconnected():
                self._hypervisor.take(message, now)
                self._arrivals.blind()
            case loop_messages.HostInventory():
                self._hypervisor.take(message, now)
                self._begin_to_serve()
            case loop_messages.Destinations():
                self._watches.destinations(message)
            case loop_messages.Expectations():
                self._watches.expectations(message)
            case loop_messages.ArrivedServers():
                self._arrivals.found(message.server_uuids)
            case loop_messages.OtherAgent():
                self._await(f"this hypervisor is watched by {message.who} already")

    def _await(self, why: str) -> None:
        if self._other_agent.is_over(why, time.monotonic()):
            self._refuse(why)

    def _refuse(self, why: str) -> None:
        """End the agent: with two of them each migration would have two records."""
        if self._stopping:
            return
        self._stopping = True
        self._host.stop()
        error = exception.AnotherAgent(
            f"[compute] connection_uri {self._settings.connection_uri}: {why}; two agents would "
            "record each migration twice: stop one of them"
        )
        # The caller that ends the process logs the reason.
        if self._fail is None:
            LOG.error("%s", error)
        else:
            self._fail(error)

    def _connected(self, message: loop_messages.Connected) -> None:
        node = message.node
        self._metrics.connected(node)
        self._recorder.versions = {
            "libvirt": message.libvirt_version,
            "hypervisor": message.hypervisor_version,
        }
        LOG.info("%s: watching the migrations of %s", self._settings.connection_uri, node)
        if message.without_qemu_events is not None:
            LOG.warning(
                "%s: cannot subscribe to QEMU events: %s; aborted migrations may be reported as "
                "failed, and block migrations are found by the next search only; permit the agent "
                "libvirt's read-write socket, or set [compute] qemu_events to false",
                *(self._settings.connection_uri, message.without_qemu_events),
            )
        self._other_agent.since = None
        self._hypervisor.take(message, time.monotonic())
        self._begin_to_serve()

    def _begin_to_serve(self) -> None:
        """Begin to report and to listen, once the host's name is known. What could not begin, as
        no thread could be started, does after the next search."""
        node = self._hypervisor.node
        if node is None or (self._sending.has_begun and self._listen is None):
            return
        address = Address(self._settings.host or node, node, self._settings.my_ip)
        self._recorder.host = address.host
        sender = self._sending.begin(address, self._loop_age_seconds)
        if self._listen is not None:
            listening.start(
                *(self._listen, address.host, node, self._inbox, self._settings, sender)
            )
            self._listen = None

    def _resume_all(self, loaded: Loaded) -> None:
        """Resume what an earlier agent has left."""
        self._loaded, self._other_agent.since = True, None
        its_key = None if loaded.contents is None else loaded.contents.key
        self._sending.use_key(its_key or self._sending.key or new_key())
        self._journal.fails(loaded.error)
        if loaded.contents is None:
            return
        for remark in loaded.contents.remarks:
            LOG.warning("%s", remark)
        now = time.monotonic()
        wall = clock.wall(now)
        for checkpoint in self._journal.load(loaded.contents.entries, now, wall):
            if not self._watches.resume(checkpoint, now):
                self._journal.lost(checkpoint, LEFT_UNREAD, now, wall)

    def _attend_all(self, now: float, seen_of: set[str | None]) -> None:
        """Report what is due, and request readings. ``seen_of``: servers with new messages."""
        self._watches.reporting.attend(self._sending.rules_in_force, now, seen_of)
        self._migrations = len(self._watches)
        self._sending.tell(self._host_stats())
        self._metrics.count(self._watches, now)

    def _host_stats(self) -> HostStats:
        there = self._hypervisor.inventory
        counts = () if there is None else (there.servers, there.memory_bytes)
        return HostStats(self._migrations, *counts)

# SPDX-License-Identifier: Apache-2.0
"""The agent of one host: one loop that handles what libvirt reports and decides what to ask next.

Only this loop touches the agent's state; threads that block (libvirt's, the sender's) only pass
messages to it. So nothing here needs a lock, and no domain waits for another.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

from migprog import exception
from migprog.compute import arrivals, clock
from migprog.compute.actions import Actions
from migprog.compute.actions_in_progress import ActionsInProgress
from migprog.compute.endpoint import Endpoint, Request
from migprog.compute.libvirt import events, host
from migprog.compute.libvirt.steering_actions import SteeringResult
from migprog.compute.reporting.sender import Address, HostStats, Sender
from migprog.compute.settings import Settings
from migprog.compute.state.directory import StateDirectory, boot_id, new_key
from migprog.compute.state.journal import Journal
from migprog.compute.state.writer import TAKEN_SECONDS, Awaited, Loaded, StateWriter, Written
from migprog.compute.steering import Steering
from migprog.compute.unresponsive_servers import Libvirt, UnresponsiveServers
from migprog.compute.watchlist import WatchList
from migprog.concurrency import Inbox
from migprog.core import checkpoint
from migprog.core.observation import Observation, OfServer
from migprog.core.steering.policies import Mode
from migprog.metrics import agent as metrics
from migprog.recording.writer import Recorder
from migprog.rpc import conductor

LOG = logging.getLogger(__name__)
_STOP_SECONDS = 5.0
_CUT_OFF_SECONDS = 0.5
# How long to wait for the state of an earlier agent before anything is monitored.
_LOAD_SECONDS = 5.0
# Opening a connection to libvirt, maybe by TLS or ssh, may take so many times libvirt_timeout.
_OPEN_TIMEOUTS = 3
# How old the count of migrations by verdict may be.
_COUNT_SECONDS = 1.0


class ComputeAgent:
    """Watches one libvirt and reports to the conductor behind ``conductor``.

    ``listen`` serves an endpoint under the host's name, in a thread of its own, and calls its third
    argument with whether it does; without it no action is possible. ``fail`` is called, once and in
    any thread, with the reason why the agent must not run: another one watches the same
    hypervisor.
    """

    def __init__(
        self,
        settings: Settings,
        conductor: conductor.ConductorAPI,
        listen: Callable[[str, Endpoint, Callable[[bool], None]], None] | None = None,
        fail: Callable[[exception.MigprogError], None] | None = None,
    ) -> None:
        self._settings = settings
        self._conductor = conductor
        self._inbox = Inbox()
        self._state_writer: StateWriter | None = None
        if settings.state_path:
            directory = StateDirectory(settings.state_path, settings.connection_uri)
            self._state_writer = StateWriter(directory, self._inbox)
        self._journal = Journal(self._state_writer, settings.connection_uri, boot_id())
        metrics.oldest_report(
            settings.connection_uri, lambda: self._journal.outbox.oldest_seconds(time.monotonic())
        )
        self._loaded = self._state_writer is None
        self._key = new_key() if self._loaded else None
        self._host = host.Host(
            settings.connection_uri,
            self._inbox,
            settings.scan_interval_seconds,
            settings.qemu_events,
            _OPEN_TIMEOUTS * settings.libvirt_timeout_seconds,
            reads_limits=settings.steering_mode is Mode.ENFORCE,
        )
        self._arrivals = arrivals.Arrivals(self._host.read_completed, self._journal.report_arrival)
        self._listen = listen
        self._in_progress = ActionsInProgress()
        self._steering = Steering(
            *(settings.steering_mode, settings.policies, self._host.steer, self._in_progress),
            since=time.monotonic(),
        )
        self._actions = Actions(self._host.act, self._in_progress)
        self._recorder = Recorder(settings.record_path, settings.record_limits)
        self._watches = WatchList(
            *(settings, self._host.sampler, self._recorder, self._journal, self._steering)
        )
        self._silent = UnresponsiveServers()
        self._libvirt: Libvirt | None = None
        self._fail = fail
        # Since when another agent has held what this one needs.
        self._waits_since: float | None = None
        self._sender: Sender | None = None
        self._node: str | None = None
        self._inventory: events.HostInventory | None = None
        # How many migrations were counted by verdict, and when to count them again.
        self._counted, self._count_at = -1, -math.inf
        self._stopping = False
        self._loop = threading.Thread(
            target=self._run, name=f"agent {settings.connection_uri}", daemon=True
        )
        self._sending: threading.Thread | None = None

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
        self._inbox.put(None)
        self._loop.join(_STOP_SECONDS)
        self._recorder.stop()
        self._journal.release_all(time.monotonic())
        if self._sender is not None and self._sending is not None:
            self._sender.stop()
            self._sending.join(_CUT_OFF_SECONDS if cut_off else _STOP_SECONDS)
            if not (cut_off or self._sending.is_alive() or self._journal.outbox.empty):
                self._sender.send()
        if self._state_writer is not None:
            self._state_writer.stop()

    def reload(self, settings: Settings) -> None:
        """Use new intervals, and what steering is to do; the rest stays as it was at the start."""
        self._settings = settings
        self._host.search_every(settings.scan_interval_seconds)
        self._watches.reporting.settings = settings
        self._steering.use(settings.steering_mode, settings.policies)
        if self._sender is not None and self._node is not None:
            self._sender.rules = settings.rules
            metrics.interval(self._node, self._sender.flow_control.interval_seconds)
        self._inbox.put(None)

    def _run(self) -> None:
        give_up_at = time.monotonic() + _LOAD_SECONDS
        while not (self._loaded or self._stopping) and time.monotonic() < give_up_at:
            self._take_all(give_up_at - time.monotonic())
            if self._waits_since is not None:
                # Nothing is watched before it is known who has the state directory.
                give_up_at = self._waits_since + TAKEN_SECONDS + _LOAD_SECONDS
        if not (self._loaded or self._stopping):
            self._journal.fails("it was not read in time")
        self._libvirt = Libvirt(self._settings.connection_uri, time.monotonic())
        if not self._stopping:
            self._host.start()
        while not self._stopping:
            seen_of = self._take_all(self._seconds_to_wait())
            now, timeout_seconds = time.monotonic(), self._settings.libvirt_timeout_seconds
            self._arrivals.release(now)
            self._in_progress.look(now, timeout_seconds)
            self._silent.look(now, timeout_seconds)
            self._libvirt.look(now, self._libvirt_seconds)
            self._attend_all(now, seen_of)
            self._journal.release(now)
        self._watches.stop()

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

    @property
    def _libvirt_seconds(self) -> float:
        """How long without a completed search until libvirt counts as not answering."""
        settings = self._settings
        return settings.scan_interval_seconds + settings.libvirt_timeout_seconds

    def _seconds_to_wait(self) -> float:
        # With nothing to watch, libvirt's thread searches by itself and wakes this loop.
        timeout_seconds = self._settings.libvirt_timeout_seconds
        due = [
            self._watches.reporting.next_look_at,
            self._journal.late_at,
            self._arrivals.late_at,
            self._in_progress.next_look_at(timeout_seconds),
            self._silent.next_look_at(timeout_seconds),
        ]
        if self._libvirt is not None:
            due.append(self._libvirt.next_look_at(self._libvirt_seconds))
        first = min((at for at in due if at is not None), default=time.monotonic() + 3600.0)
        return max(0.0, first - time.monotonic())

    def _take(self, message: events.Message | Loaded | Awaited | Written | Request | None) -> None:
        match message:
            case Loaded(taken=True):
                self._refuse(message.error or "")
            case Loaded():
                self._resume_all(message)
            case Awaited():
                self._await(message.why)
            case Written():
                self._journal.take(message, time.monotonic())
            case Request():
                monitor = self._watches.monitor(message.target.server_uuid)
                self._actions.take(message, monitor, time.monotonic())
            case None:
                pass
            case Observation():
                self._take_observation(message)
            case OfServer():
                self._take_of_server(message)
            case _:
                self._take_host(message)

    def _take_observation(self, seen: Observation) -> None:
        leaves = seen.server_uuid in self._watches
        timeout_seconds = self._settings.libvirt_timeout_seconds
        if leaves or not self._arrivals.seen(seen, timeout_seconds):
            self._watches.take(seen)

    def _take_of_server(self, message: OfServer) -> None:
        match message:
            case events.ArrivalStats():
                self._arrivals.take(message)
                self._watches.arrived(message)
            case events.ActionResult():
                self._actions.done(message)
            case SteeringResult():
                self._steering.done(message)
            case events.NoAnswer():
                self._silent.begins(message.server_uuid, message.at)
            case events.Answers():
                self._silent.ends(message.server_uuid, message.at, message.gone)

    def _take_host(self, message: events.Message) -> None:
        now = time.monotonic()
        match message:
            case events.Connected():
                self._connected(message)
            case events.Disconnected():
                if self._libvirt is not None:
                    self._libvirt.fails(message.error, now, self._settings.scan_interval_seconds)
                self._inventory = None
                self._silent.clear()
                self._arrivals.blind()
            case events.HostInventory():
                if self._libvirt is not None:
                    self._libvirt.answers(now)
                self._inventory = message
            case events.Destinations():
                self._watches.destinations(message)
            case events.ArrivedServers():
                self._arrivals.found(message.server_uuids)
            case events.OtherAgent():
                self._await(f"this hypervisor is watched by {message.who} already")

    def _await(self, why: str) -> None:
        """Wait for another agent to release what this one needs: it may be about to end."""
        now = time.monotonic()
        if self._waits_since is None:
            self._waits_since = now
            LOG.warning(
                "%s: %s; waiting up to %.0f s for it to end, then this agent ends",
                *(self._settings.connection_uri, why, TAKEN_SECONDS),
            )
        elif now - self._waits_since >= TAKEN_SECONDS:
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

    def _connected(self, message: events.Connected) -> None:
        self._node = node = message.node
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
        self._waits_since = None
        if self._libvirt is not None:
            self._libvirt.answers(time.monotonic())
        if self._sender is None:
            address = Address(self._settings.host or node, node, self._settings.my_ip)
            self._recorder.host = address.host
            rules = self._settings.rules
            self._sender = Sender(
                *(self._journal.outbox, self._conductor, address, rules),
                on_destinations=lambda found: self._inbox.put(events.Destinations(found)),
            )
            self._sender.key = self._key
            metrics.interval(node, rules.report_interval_seconds)
            self._sending = threading.Thread(
                target=self._sender.run, name=f"sender {node}", daemon=True
            )
            self._sending.start()
            if self._listen is not None:
                threading.Thread(
                    target=self._listen,
                    args=(address.host, Endpoint(self._inbox), self._sender.set_actions_enabled),
                    name=f"listen {node}",
                    daemon=True,
                ).start()

    def _resume_all(self, loaded: Loaded) -> None:
        """Resume what an earlier agent has left."""
        self._loaded, self._waits_since = True, None
        its_key = None if loaded.contents is None else loaded.contents.key
        self._key = its_key or self._key or new_key()
        if self._sender is not None:
            self._sender.key = self._key
        self._journal.fails(loaded.error)
        if loaded.contents is None:
            return
        for remark in loaded.contents.remarks:
            LOG.warning("%s", remark)
        now = time.monotonic()
        wall = clock.wall(now)
        for saved in self._journal.load(loaded.contents.entries, now, wall):
            if not self._watches.resume(saved, now):
                self._journal.lost(saved, checkpoint.LEFT_UNREAD, now, wall)

    def _attend_all(self, now: float, seen_of: set[str | None]) -> None:
        """Report what is due, and request readings. ``seen_of``: servers with new messages."""
        rules = self._settings.rules
        if self._sender is not None:
            rules = self._sender.flow_control.rules(rules)
        self._watches.reporting.attend(rules, now, seen_of)
        if self._sender is not None and self._node is not None:
            self._sender.host_stats = stats = self._host_stats()
            if stats.migrations != self._counted or now >= self._count_at:
                # Messages come dozens of times a second, and counting takes time.
                self._counted, self._count_at = stats.migrations, now + _COUNT_SECONDS
                metrics.migrations(self._node, self._watches.by_verdict())

    def _host_stats(self) -> HostStats:
        under_way = len(self._watches)
        if self._inventory is None:
            return HostStats(under_way)
        return HostStats(under_way, self._inventory.servers, self._inventory.memory_bytes)

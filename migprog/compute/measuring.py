# SPDX-License-Identifier: Apache-2.0
"""Measure servers of this host, one at a time: those that users ask for first, then all in rounds.

The agent's loop alone calls this. Nothing is measured unless ``[compute] allow_measurements`` is
set, and no server that migrates. A measurement is given up as soon as a migration of its server is
seen.
"""

import logging
import math
import uuid
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from migprog.compute.libvirt.loop_messages import MeasuringBegan, MeasuringEnded
from migprog.core.agent_answer import Answer
from migprog.core.measurement import Failure, Measured, Measurement, Target

LOG = logging.getLogger(__name__)
HasJob = Callable[[str], bool]
# Servers that wait for their turn: who asked waits no longer than they take together.
MOST_WAITING = 20
# After so long beyond its windows, libvirt hangs.
_LATE_SECONDS = 60.0
# Between two measurements of a round; and when to look for servers that are new. An agent that has
# just started has none yet, and looks as soon as after a measurement.
_PAUSE_SECONDS, _LOOK_SECONDS = 5.0, 30.0


class Rules(NamedTuple):
    """``[compute] allow_measurements``, ``measure_windows`` and ``measure_interval``, in seconds;
    an interval of 0: no rounds."""

    is_allowed: bool = False
    windows: tuple[int, ...] = ()
    interval_seconds: float = 0.0


NO_MEASURING = Rules()


@dataclass(frozen=True, slots=True, eq=False)
class MeasureRequest:
    """A request to measure a server. ``who``: the user and the request, for the log."""

    target: Target
    who: str
    answer: "Future[Answer]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True, eq=False)
class MeasureAllRequest:
    """A request to measure each server that runs here; see :class:`MeasureRequest`."""

    who: str
    answer: "Future[Answer]" = field(default_factory=Future)


@dataclass(slots=True)
class _UnderWay:
    """A measurement. ``request``: the first request for it; None in a round. ``cancel`` gives it
    up; ``is_given_up``: it was. ``hangs``: libvirt has not answered in time."""

    server_uuid: str
    request: MeasureRequest | None
    late_at: float
    cancel: Callable[[], None]
    is_given_up: bool = False
    hangs: bool = False


class Measuring:
    """``start`` begins to measure a server's windows, delivers :class:`MeasuringBegan` and
    :class:`MeasuringEnded` later, and returns what gives it up. ``servers`` returns those that run
    here; ``report`` is called with what is to be reported, ``wall`` turns a monotonic clock's
    instant into seconds since the epoch."""

    def __init__(
        self,
        rules: Rules,
        start: Callable[[str, Sequence[int]], Callable[[], None]],
        servers: Callable[[], Collection[str]],
        report: Callable[[Measured], None],
        wall: Callable[[float], float],
    ) -> None:
        self.rules = rules
        self._start = start
        self._servers = servers
        self._report = report
        self._wall = wall
        self._under_way: _UnderWay | None = None
        # In the order in which they came.
        self._waiting: dict[str, MeasureRequest] = {}
        # When each server was last measured in a round or for a request.
        self._measured_at: dict[str, float] = {}
        self._round_at = -math.inf
        self._newest: dict[str, Measurement] = {}

    def newest(self, server_uuid: str) -> Measurement | None:
        """Return the newest measurement of a server since the agent's start, by the monotonic
        clock."""
        return self._newest.get(server_uuid)

    def take(self, request: MeasureRequest, has_job: HasJob, now: float) -> None:
        """Handle a request; it is answered when QEMU has begun, or when it waits for its turn.

        ``has_job`` returns whether a job of a server is seen, be it a migration or not.
        """
        server_uuid, under_way = request.target.server_uuid, self._under_way
        refused = self._refusal(server_uuid, has_job(server_uuid))
        if refused is not None:
            self._log(f"is not measured for {request.who}: {refused.message}", server_uuid)
            request.answer.set_result(Answer.of(refused))
        elif under_way is None:
            self._begin(server_uuid, request, now)
        else:
            self._wait(server_uuid, request)
            request.answer.set_result(Answer())

    def take_all(self, request: MeasureAllRequest, has_job: HasJob) -> None:
        """Handle a request to measure all servers: those without a job wait for their turn.

        What becomes of each is reported, failures, too.
        """
        refused = self._refusal_of_any()
        if refused is not None:
            LOG.info("no server is measured for %s: %s", request.who, refused.message)
            request.answer.set_result(Answer.of(refused))
            return
        for server_uuid in sorted(self._servers()):
            if not has_job(server_uuid):
                each = MeasureRequest(Target(server_uuid=server_uuid), request.who)
                each.answer.set_result(Answer())
                self._wait(server_uuid, each)
        request.answer.set_result(Answer())

    def _wait(self, server_uuid: str, request: MeasureRequest) -> None:
        """Let a request wait for its turn, unless its server is being measured."""
        under_way = self._under_way
        if under_way is not None and under_way.server_uuid == server_uuid:
            # In a round, or for another request.
            under_way.request = under_way.request or request
        else:
            self._waiting.setdefault(server_uuid, request)

    def _refusal_of_any(self) -> Failure | None:
        """Return why no server at all is measured."""
        if not self.rules.is_allowed:
            return Failure.DISABLED
        if self._under_way is not None and self._under_way.hangs:
            return Failure.LIBVIRT_HANGS
        return None

    def _refusal(self, server_uuid: str, is_migrating: bool) -> Failure | None:
        refused = self._refusal_of_any()
        if refused is not None:
            return refused
        if is_migrating:
            return Failure.MIGRATES
        if len(self._waiting) >= MOST_WAITING and server_uuid not in self._waiting:
            return Failure.BUSY
        return None

    def seen(self, message: MeasuringBegan | MeasuringEnded, now: float) -> None:
        """Handle what became of a measurement."""
        if isinstance(message, MeasuringEnded):
            self._ended(message, now)
            return
        # QEMU has begun.
        under_way = self._under_way
        if under_way is None or under_way.server_uuid != message.server_uuid:
            return
        if under_way.request is not None and not under_way.request.answer.done():
            under_way.request.answer.set_result(Answer())

    def _ended(self, message: MeasuringEnded, now: float) -> None:
        """Report what was measured, or why nothing was."""
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        self._measured_at[message.server_uuid] = now
        self._round_at = max(self._round_at, now + _PAUSE_SECONDS)
        request = under_way.request
        if message.failure is None:
            self._remember(message)
            rates = ", ".join(
                f"{each.dirty_mib_per_second} MiB/s in {each.seconds:g} s"
                for each in message.windows
            )
            self._log(f"dirties {rates}", message.server_uuid)
        else:
            more = "" if message.error is None else f": {message.error}"
            level = logging.WARNING if request is not None and more else logging.INFO
            text = f"is not measured: {message.failure.message}{more}"
            self._log(text, message.server_uuid, level)
            if request is None or not request.answer.done():
                if request is not None:
                    request.answer.set_result(Answer.of(message.failure))
                # Who asked for it has the answer; the agent's own rounds need none.
                return
        self._report(self._measured(message))

    def _remember(self, message: MeasuringEnded) -> None:
        facts = message.facts
        for gone in self._newest.keys() - self._servers():
            del self._newest[gone]
        if facts.memory_size_bytes is not None and message.windows:
            self._newest[message.server_uuid] = Measurement(
                message.at,
                message.windows,
                facts.memory_size_bytes,
                message.resident_bytes,
                message.disk_bytes,
                message.downtime_limit_seconds,
                facts.has_host_devices,
            )

    def _measured(self, message: MeasuringEnded) -> Measured:
        facts = message.facts
        return Measured(
            uuid=str(uuid.uuid4()),
            server_uuid=message.server_uuid,
            measured_at=round(self._wall(message.at), 3),
            failure=None if message.failure is None else message.failure.value,
            server_name=facts.server_name,
            project_id=facts.project_id,
            user_id=facts.user_id,
            windows=tuple((each.seconds, each.dirty_mib_per_second) for each in message.windows)
            or None,
            memory_bytes=facts.memory_size_bytes,
            resident_bytes=message.resident_bytes,
            disk_bytes=message.disk_bytes,
            downtime_limit_seconds=message.downtime_limit_seconds,
            has_host_devices=facts.has_host_devices,
        )

    def look(self, now: float, has_job: HasJob, is_quiet: bool) -> None:
        """Give up what must be given up, and begin what may begin. For ``has_job`` see
        :meth:`take`; ``is_quiet``: no server migrates from this host, so a round may go on."""
        under_way = self._under_way
        if under_way is not None:
            if has_job(under_way.server_uuid) and not under_way.is_given_up:
                under_way.is_given_up = True
                under_way.cancel()
            if now >= under_way.late_at and not under_way.hangs:
                under_way.hangs = True
                under_way.cancel()
                self._log(
                    "is being measured, and libvirt does not answer; no server is measured until "
                    "it does; check libvirt and QEMU",
                    under_way.server_uuid,
                    logging.WARNING,
                )
            return
        if self._waiting:
            server_uuid = next(iter(self._waiting))
            self._begin(server_uuid, self._waiting.pop(server_uuid), now)
        elif self._has_rounds and is_quiet and now >= self._round_at:
            self._go_round(now, has_job)

    def next_look_at(self) -> float | None:
        """When something may be due; None while nothing can be."""
        if self._under_way is not None:
            return None if self._under_way.hangs else self._under_way.late_at
        if self._waiting:
            return -math.inf
        return self._round_at if self._has_rounds else None

    def stop(self) -> None:
        """Give up what is under way."""
        if self._under_way is not None:
            self._under_way.cancel()

    @property
    def _has_rounds(self) -> bool:
        return self.rules.is_allowed and self.rules.interval_seconds > 0

    def _go_round(self, now: float, has_job: HasJob) -> None:
        """Begin with the server that was measured longest ago, if that is long enough ago."""
        servers = self._servers()
        for gone in self._measured_at.keys() - servers:
            del self._measured_at[gone]
        self._round_at = now + (_LOOK_SECONDS if servers else _PAUSE_SECONDS)
        free = [each for each in servers if not has_job(each)]
        if not free:
            return
        oldest = min(free, key=lambda each: (self._measured_at.get(each, -math.inf), each))
        due_at = self._measured_at.get(oldest, -math.inf) + self.rules.interval_seconds
        if due_at <= now:
            self._begin(oldest, None, now)
        else:
            self._round_at = min(self._round_at, due_at)

    def _begin(self, server_uuid: str, request: MeasureRequest | None, now: float) -> None:
        windows = self.rules.windows
        if request is not None:
            self._log(f"is measured for {request.who}", server_uuid)
        late_at = now + sum(windows) + _LATE_SECONDS
        under_way = self._under_way = _UnderWay(server_uuid, request, late_at, lambda: None)
        try:
            under_way.cancel = self._start(server_uuid, windows)
        except Exception as error:
            # Such as a thread that cannot be started.
            failure, what = Failure.LIBVIRT_FAILED, repr(error)
            self._ended(
                MeasuringEnded(server_uuid=server_uuid, at=now, failure=failure, error=what), now
            )

    def _log(self, what: str, server_uuid: str, level: int = logging.INFO) -> None:
        LOG.log(level, "server %s: %s", server_uuid, what)

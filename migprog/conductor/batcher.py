# SPDX-License-Identifier: Apache-2.0
"""The report batcher: stores received batches, many in one transaction if the database is slow.

One thread writes. Batches that arrive during a transaction wait for the next one, which takes all
of them: the slower the database, the larger the transactions. Transactions begin at least a batch
window apart, since one for twenty hosts costs little more than one for a single host; a batch that
arrives alone is stored at once. Of progress only the latest report of each migration waits, so an
overload cannot queue more reports than there are migrations.
"""

import dataclasses
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from migprog import loops
from migprog.conductor.storing import StoreBatches
from migprog.core.log_limit import LogLimit
from migprog.core.messages import Batch, Report
from migprog.metrics import conductor as metrics
from migprog.objects import ReceivedBatch, Stored, Unavailable

LOG = logging.getLogger(__name__)
# Progress reports in one transaction: batches whose sender waits must not be delayed for long.
_MAX_REPORTS = 1000
# Reports and arrivals to acknowledge in one transaction: all of them fail when it times out.
_MAX_ENTRIES = 2000
# Progress reports, and heartbeats, that may wait: more than a cloud has at a time. Without this a
# sender of invented migrations could fill the memory.
_MOST_WAITING = 20_000
# After that the thread itself hangs: transactions have shorter deadlines.
_LATE_SECONDS = 300.0
# Agents wait no longer for the answer. A batch that is sent again is stored once.
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class BatchWindow:
    """The least seconds between the starts of two transactions.

    ``for_answers_seconds`` applies when a sender waits for an answer, ``for_progress_seconds`` when
    progress of ``enough_messages`` or more is queued, ``for_few_messages_seconds`` when that of
    fewer is, ``for_heartbeats_seconds`` when only heartbeats are: among thousands of idle hosts one
    comes each few ms.

    A transaction costs about 1 ms, whatever it stores. Of several conductors each gets some of the
    messages: without ``enough_messages`` there would be as many times more transactions.
    """

    for_answers_seconds: float = 0.02
    for_progress_seconds: float = 0.1
    for_few_messages_seconds: float = 0.3
    enough_messages: int = 8
    for_heartbeats_seconds: float = 1.0


@dataclass(slots=True, eq=False)
class _Pending:
    """A batch whose sender waits for the acknowledgement; ``since`` is by the monotonic clock."""

    received: ReceivedBatch
    since: float
    done: threading.Event = field(default_factory=threading.Event)
    stored: Stored | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Progress:
    """A report that may be lost, its batch, and when it was received (epoch seconds).

    ``since``: when the first of those that it replaces was, by the monotonic clock."""

    report: Report
    batch: Batch
    at: float
    since: float


_Agents = dict[tuple[str, str, str | None], ReceivedBatch]


class ReportBatcher:
    """Stores batches by ``store_batches`` (see :mod:`migprog.conductor.storing`) in a thread of its
    own.

    ``answer_seconds``: how long :meth:`store` waits. ``most_waiting``: how many progress reports,
    and how many heartbeats, may wait.
    """

    def __init__(
        self,
        store_batches: StoreBatches,
        window: BatchWindow = BatchWindow(),
        answer_seconds: float = _ANSWER_SECONDS,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._store_batches = store_batches
        self._window = window
        self._answer_seconds = answer_seconds
        self._most_waiting = most_waiting
        self._lines = LogLimit()
        self._changed = threading.Condition()
        self._pending: list[_Pending] = []
        self._progress: dict[tuple[str, str], _Progress] = {}
        # The last heartbeats by host, node and key, so that no sender replaces another host's.
        # Batches that have nothing else.
        self._agents: _Agents = {}
        # How many messages have brought progress since the last transaction. What that one left
        # counts as enough.
        self._kept_messages = 0
        # Since when the oldest of those that are being stored waits, by the monotonic clock.
        self._storing_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="report batcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store all that waits, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def oldest_seconds(self) -> float:
        """Return for how long the oldest report has waited to be stored; 0 if none waits."""
        with self._changed:
            # Both are in the order in which they came.
            first = [each.since for each in self._pending[:1]]
            first += [each.since for each in itertools.islice(self._progress.values(), 1)]
            if self._storing_since is not None:
                first.append(self._storing_since)
        return max(0.0, time.monotonic() - min(first)) if first else 0.0

    def store(self, batch: Batch) -> Stored:
        """Store a batch and return what became of it.

        Raises :class:`Unavailable` when the database fails or needs more than
        ``answer_seconds``.
        """
        pending = _Pending(ReceivedBatch(batch, time.time()), time.monotonic())
        with self._changed:
            self._pending.append(pending)
            self._changed.notify()
        if not pending.done.wait(self._answer_seconds):
            with self._changed:
                # Its sender sends it again: both would wait then.
                if pending in self._pending:
                    self._pending.remove(pending)
            raise Unavailable(f"did not store the batch within {self._answer_seconds:g} s")
        if pending.stored is None:
            raise pending.error or Unavailable("did not store the batch: the conductor stops")
        return pending.stored

    def keep(self, batch: Batch) -> None:
        """Queue a batch's progress and heartbeat, which may be lost; ignore its arrivals."""
        at, now = time.time(), time.monotonic()
        with self._changed:
            waited = self._waits()
            self._kept_messages += bool(batch.reports)
            for report in batch.reports:
                # By host: no sender replaces another host's report.
                key = batch.host, report.uuid
                before = self._progress.get(key)
                if before is not None:
                    metrics.superseded()
                elif len(self._progress) >= self._most_waiting:
                    self._overflowed(batch.host)
                    continue
                if before is None or before.report.sequence < report.sequence:
                    since = now if before is None else before.since
                    self._progress[key] = _Progress(report, batch, at, since)
            if batch.agent is not None:
                agent = batch.host, batch.node, batch.agent.key
                if agent in self._agents or len(self._agents) < self._most_waiting:
                    alone = dataclasses.replace(batch, reports=(), arrivals=(), measurements=())
                    self._agents[agent] = ReceivedBatch(alone, at)
            # Otherwise the thread knows that these wait: it would wake up for nothing.
            if waited != self._waits():
                self._changed.notify()

    def _waits(self) -> tuple[bool, bool, bool]:
        """Return whether progress waits, whether that is enough, and whether heartbeats wait."""
        return bool(self._progress), self._has_enough(), bool(self._agents)

    def _has_enough(self) -> bool:
        return self._kept_messages >= self._window.enough_messages

    def _overflowed(self, host: str) -> None:
        metrics.overflowed()
        if self._lines.held_back("", time.monotonic()) is not None:
            LOG.warning(
                "%d progress reports wait for the database; further ones are dropped, the first "
                "is from host %r: check the database's load, and which hosts send how many reports",
                *(self._most_waiting, host),
            )

    def _run(self) -> None:
        with loops.turning("the report batcher", _LATE_SECONDS) as loop:
            self._store_all(loop)

    def _store_all(self, loop: loops.Loop) -> None:
        window = self._window
        begun = -math.inf
        while True:
            loop.turned()
            with self._changed:
                if not self._changed.wait_for(
                    lambda: self._pending or self._progress or self._agents or self._stopping,
                    loops.IDLE_SECONDS,
                ):
                    continue
                self._wait_until(
                    begun + window.for_heartbeats_seconds,
                    lambda: self._pending or self._progress or self._stopping,
                )
                self._wait_until(
                    begun + window.for_few_messages_seconds,
                    lambda: self._pending or self._has_enough() or self._stopping,
                )
                self._wait_until(
                    begun + window.for_progress_seconds,
                    lambda: self._pending or self._stopping,
                )
                self._wait_until(begun + window.for_answers_seconds, lambda: self._stopping)
                begun = time.monotonic()
                pending, self._pending = _split(self._pending)
                agents, self._agents = self._agents, {}
                progress = [self._progress.pop(key) for key in list(self._progress)[:_MAX_REPORTS]]
                self._kept_messages = window.enough_messages if self._progress else 0
                taken = [each.since for each in pending] + [each.since for each in progress]
                self._storing_since = min(taken, default=None)
            if not pending and not progress and not agents:
                return
            self._store(pending, [*_by_sender(progress), *agents.values()])
            self._storing_since = None

    def _wait_until(self, at: float, or_else: Callable[[], Any]) -> None:
        self._changed.wait_for(or_else, max(0.0, at - time.monotonic()))

    def _store(self, pending: list[_Pending], progress: list[ReceivedBatch]) -> None:
        try:
            stored = self._store_batches([*progress, *(each.received for each in pending)])
        except Unavailable as error:
            LOG.debug("progress of %d host(s) dropped: %s", len(progress), error)
            _answer(pending, error)
        except Exception as error:
            self._store_apart(pending, progress, error)
        else:
            for each, what in zip(pending, stored[len(progress) :], strict=True):
                each.stored = what
                each.done.set()

    def _store_apart(
        self, pending: list[_Pending], progress: list[ReceivedBatch], error: Exception
    ) -> None:
        """Store each batch by itself after an unexpected error, so that only the bad one fails."""
        if len(pending) + len(progress) == 1:
            (batch,) = [*progress, *(each.received for each in pending)]
            LOG.error(
                "failed to store a batch of host %r; it is dropped, and its sender gets an error; "
                "report this traceback as a bug",
                batch.batch.host,
                exc_info=error,
            )
            _answer(pending, error)
            return
        for received in progress:
            self._store([], [received])
        for each in pending:
            self._store([each], [])


def _split(pending: list[_Pending]) -> tuple[list[_Pending], list[_Pending]]:
    """Split into those of the next transaction, at least one, and the rest."""
    entries = 0
    for number, each in enumerate(pending):
        batch = each.received.batch
        entries += len(batch.reports) + len(batch.arrivals) + len(batch.measurements)
        if number and entries > _MAX_ENTRIES:
            return pending[:number], pending[number:]
    return pending, []


def _answer(pending: list[_Pending], error: Exception) -> None:
    for each in pending:
        each.error = error
        each.done.set()


def _by_sender(progress: Sequence[_Progress]) -> list[ReceivedBatch]:
    """Group progress into one batch for each host and node."""
    reports: dict[tuple[str, str], list[_Progress]] = {}
    for each in progress:
        reports.setdefault((each.batch.host, each.batch.node), []).append(each)
    return [
        ReceivedBatch(
            Batch(host=host, node=node, reports=tuple(each.report for each in latest)),
            max(each.at for each in latest),
        )
        for (host, node), latest in reports.items()
    ]

# SPDX-License-Identifier: Apache-2.0
"""What was heard and is not stored yet: stored at once while the database keeps up, together else.

One thread stores. What comes in meanwhile waits for the next transaction, which takes all of it:
the slower the database, the more it gets at a time. Transactions begin a moment apart, since one
for twenty hosts costs little more than one for one; what comes alone is stored at once. Of
progress the latest of each migration is kept, so that no overload makes more of it than there are
migrations.
"""

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from migprog import objects
from migprog.conductor.refusals import Refusals
from migprog.core.log_limit import LogLimit
from migprog.core.report import Batch, Report
from migprog.metrics import conductor as metrics
from migprog.objects import ReceivedBatch, Stored, Unavailable

LOG = logging.getLogger(__name__)
# Of progress, in one transaction: it must not make those wait long who want an answer.
_MAX_REPORTS = 1000
# Of those who want an answer: all of a transaction are lost when it takes too long.
_MAX_ENTRIES = 2000
# Of progress, and of what agents tell of themselves: more than a cloud has at a time. Without it
# whoever invents migrations could fill the memory.
_MOST_WAITING = 20_000
# Nobody waits for an answer that takes longer; what is sent again is stored once.
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class BatchWindow:
    """How long what comes in is gathered: seconds at least from the beginning of a transaction to
    that of the next, where somebody waits for an answer and where only progress is to be stored.

    Progress waits no longer than ``rest`` times as long as the transaction before took: the less
    there is to do, the sooner it can be read.
    """

    for_answers_seconds: float = 0.02
    for_progress_seconds: float = 0.1
    rest: float = 8.0

    def progress_seconds(self, took_seconds: float) -> float:
        return min(self.for_progress_seconds, self.rest * took_seconds)


StoreBatches = Callable[[Sequence[ReceivedBatch]], list[Stored]]


def _nobody(server_uuid: str, uuid: str) -> None:
    """Wants to know."""


def storing(store: objects.Store, appeared: Callable[[str, str], None] = _nobody) -> StoreBatches:
    """:func:`objects.store_batches` into ``store``, and counted. ``appeared`` is told of each new
    migration its server's UUID and its own; it must not wait."""

    refusals = Refusals()

    def store_batches(heard: Sequence[ReceivedBatch]) -> list[Stored]:
        begun = time.monotonic()
        with store.counting() as cost:
            stored = objects.store_batches(store, heard)
        seconds = time.monotonic() - begun
        metrics.transaction(len(heard), seconds, cost.statements, cost.rows)
        for each, what in zip(heard, stored, strict=True):
            metrics.stored(what.reports, what.ends)
            refusals.note(each.batch.host, what.refused)
            for report in what.appeared:
                appeared(report.server_uuid, report.uuid)
        return stored

    return store_batches


@dataclass(slots=True, eq=False)
class _Asked:
    """A batch whose sender waits for an answer."""

    heard: ReceivedBatch
    done: threading.Event = field(default_factory=threading.Event)
    stored: Stored | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Progress:
    """A report that may be lost, and who told it when."""

    report: Report
    batch: Batch
    at: float


_Agents = dict[tuple[str, str, str | None], ReceivedBatch]


class ReportBatcher:
    """Stores by ``store_batches`` (as :func:`storing` makes it), in a thread of its own."""

    def __init__(
        self,
        store_batches: StoreBatches,
        gathering: BatchWindow = BatchWindow(),
        answer_seconds: float = _ANSWER_SECONDS,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._store_batches = store_batches
        self._gathering = gathering
        self._answer_seconds = answer_seconds
        self._most_waiting = most_waiting
        self._lines = LogLimit()
        self._changed = threading.Condition()
        self._asked: list[_Asked] = []
        self._progress: dict[tuple[str, str], _Progress] = {}
        # What agents told last of themselves, by host, node and key: none takes the place of
        # another host's. Batches without anything else.
        self._agents: _Agents = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="report batcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store what is here, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def store(self, batch: Batch) -> Stored:
        """Return when the batch is stored. Raises :class:`objects.Unavailable`, at the latest
        after ``answer_seconds``."""
        asked = _Asked(ReceivedBatch(batch, time.time()))
        with self._changed:
            self._asked.append(asked)
            self._changed.notify()
        if not asked.done.wait(self._answer_seconds):
            with self._changed:
                # Who sent it sends it again: two of them would wait then.
                if asked in self._asked:
                    self._asked.remove(asked)
            raise Unavailable(f"not stored within {self._answer_seconds:g} s")
        if asked.stored is None:
            raise asked.error or Unavailable("it was not stored")
        return asked.stored

    def keep(self, batch: Batch) -> None:
        """Have a batch stored that may be lost; its arrivals are not."""
        at = time.time()
        with self._changed:
            for report in batch.reports:
                # No host's word takes the place of another's.
                key = batch.host, report.uuid
                before = self._progress.get(key)
                if before is not None:
                    metrics.superseded()
                elif len(self._progress) >= self._most_waiting:
                    self._overflowed(batch.host)
                    continue
                if before is None or before.report.sequence < report.sequence:
                    self._progress[key] = _Progress(report, batch, at)
            if batch.agent is not None:
                agent = batch.host, batch.node, batch.agent.key
                if agent in self._agents or len(self._agents) < self._most_waiting:
                    alone = dataclasses.replace(batch, reports=(), arrivals=())
                    self._agents[agent] = ReceivedBatch(alone, at)
            self._changed.notify()

    def _overflowed(self, host: str) -> None:
        metrics.overflowed()
        if self._lines.held_back("", time.monotonic()) is not None:
            LOG.warning(
                "%d reports of progress wait to be stored; further ones are dropped, the first is "
                "from host %r: the database is slow, or somebody floods the broker",
                *(self._most_waiting, host),
            )

    def _run(self) -> None:
        gathering = self._gathering
        begun, took = -math.inf, 0.0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._asked or self._progress or self._agents or self._stopping
                )
                self._wait_until(
                    begun + gathering.progress_seconds(took),
                    lambda: self._asked or self._stopping,
                )
                self._wait_until(begun + gathering.for_answers_seconds, lambda: self._stopping)
                begun = time.monotonic()
                asked, self._asked = _together(self._asked)
                agents, self._agents = self._agents, {}
                progress = [self._progress.pop(key) for key in list(self._progress)[:_MAX_REPORTS]]
            if not asked and not progress and not agents:
                return
            self._store(asked, [*_by_sender(progress), *agents.values()])
            took = time.monotonic() - begun

    def _wait_until(self, at: float, or_else: Callable[[], Any]) -> None:
        self._changed.wait_for(or_else, max(0.0, at - time.monotonic()))

    def _store(self, asked: list[_Asked], progress: list[ReceivedBatch]) -> None:
        try:
            stored = self._store_batches([*progress, *(each.heard for each in asked)])
        except Unavailable as error:
            LOG.debug("progress of %d host(s) is dropped: %s", len(progress), error)
            _answer(asked, error)
        except Exception as error:
            self._store_apart(asked, progress, error)
        else:
            for each, what in zip(asked, stored[len(progress) :], strict=True):
                each.stored = what
                each.done.set()

    def _store_apart(
        self, asked: list[_Asked], progress: list[ReceivedBatch], error: Exception
    ) -> None:
        """One of them cannot be stored, for a reason that nobody foresaw: only that one is lost."""
        if len(asked) + len(progress) == 1:
            LOG.error("a batch cannot be stored", exc_info=error)
            _answer(asked, error)
            return
        for heard in progress:
            self._store([], [heard])
        for each in asked:
            self._store([each], [])


def _together(asked: list[_Asked]) -> tuple[list[_Asked], list[_Asked]]:
    """Those of one transaction, the first and as many as there may be, and the rest."""
    entries = 0
    for number, each in enumerate(asked):
        entries += len(each.heard.batch.reports) + len(each.heard.batch.arrivals)
        if number and entries > _MAX_ENTRIES:
            return asked[:number], asked[number:]
    return asked, []


def _answer(asked: list[_Asked], error: Exception) -> None:
    for each in asked:
        each.error = error
        each.done.set()


def _by_sender(progress: Sequence[_Progress]) -> list[ReceivedBatch]:
    """One batch a host, with what it told last of each migration."""
    reports: dict[tuple[str, str], list[_Progress]] = {}
    for each in progress:
        reports.setdefault((each.batch.host, each.batch.node), []).append(each)
    return [
        ReceivedBatch(
            Batch(host=host, node=node, reports=tuple(each.report for each in told)),
            max(each.at for each in told),
        )
        for (host, node), told in reports.items()
    ]

# SPDX-License-Identifier: Apache-2.0
"""What must be on disk before it is told: who is watched, how it ended, what has arrived.

An agent that is killed at any instant is followed by one that knows what was told, and tells what
was not. Most reports need no writing; those that do are handed on to the outbox when the disk has
them, or when it fails or takes too long: watching goes on without it, and the log says so.
"""

import dataclasses
import itertools
import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from migprog.compute.reporting.outbox import Outbox
from migprog.compute.state import directory
from migprog.compute.state.directory import Entry
from migprog.compute.state.writer import StateWriter, Written
from migprog.core import checkpoint
from migprog.core.checkpoint import Checkpoint
from migprog.core.report import Arrival, Report
from migprog.core.status import ENDED
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# So long a report waits for a disk that does not answer.
PATIENCE_SECONDS = 2.0


@dataclass(slots=True)
class _Held:
    """What waits until ``ticket`` is done."""

    entry: Report | Arrival
    needs_ack: bool
    ticket: int
    since: float


class Journal:
    """Used by the agent's loop alone, but for :meth:`settled`. ``now`` is a monotonic clock's
    seconds. ``keeper`` is None where nothing is to be saved; ``name`` is the agent's, for the log;
    ``boot_id`` says since which start of the host it counts.
    """

    def __init__(self, keeper: StateWriter | None, name: str, boot_id: str) -> None:
        self.outbox = Outbox(self.settled)
        self.name = name
        self._keeper = keeper
        self._boot_id = boot_id
        self._kept: dict[str, Checkpoint] = {}
        # What each file holds, or will as soon as the disk has done what it was asked for. The lock
        # keeps this and the order of what the disk is asked for as one.
        self._filed: dict[str, Entry] = {}
        self._filing = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._tickets = itertools.count(1)
        self._answered_at = -math.inf
        self._error: str | None = None

    def load(self, entries: Mapping[str, Entry], now: float, wall: float) -> list[Checkpoint]:
        """Have told what an agent before could not; gives the migrations that may run still."""
        left: dict[str, Checkpoint] = {}
        self._filed |= entries
        for entry in entries.values():
            match entry:
                case Report():
                    self.outbox.put_report(entry, needs_ack=True, now=now)
                case Arrival():
                    self.outbox.put_arrival(entry, now)
                case Checkpoint() if entry.boot_id != self._boot_id:
                    self.lost(entry, checkpoint.LEFT_BY_REBOOT, now, wall)
                case Checkpoint():
                    rival = left.get(entry.server_uuid, entry)
                    newer = max(entry, rival, key=lambda saved: saved.started_clock)
                    left[entry.server_uuid] = newer
                    if rival is not entry:
                        older = entry if newer is rival else rival
                        self.lost(older, checkpoint.LEFT_BEHIND, now, wall)
        self._kept |= {saved.uuid: saved for saved in left.values()}
        return list(left.values())

    def lost(self, saved: Checkpoint, why: str, now: float, wall: float) -> None:
        """Tell of a migration that it ended while nobody watched."""
        LOG.warning("server %s: its migration %s %s", saved.server_uuid, saved.uuid, why)
        self.tell(checkpoint.unknown_end(saved, why, wall), True, saved.started_clock, now)

    def tell(self, report: Report, needs_ack: bool, started_clock: float, now: float) -> None:
        """Have a report told; ``started_clock`` is when its migration's job began."""
        entry: Entry | None = None
        if report.status in ENDED:
            self._kept.pop(report.uuid, None)
            entry = report
        elif checkpoint.is_due(report, self._kept.get(report.uuid), now):
            entry = checkpoint.make(report, self._boot_id, started_clock, now)
            self._kept[report.uuid] = entry
        self._tell(report, needs_ack, entry, now)

    def tell_arrival(self, arrival: Arrival, now: float) -> None:
        """Have an arrival told. One that is under way is seen again when it is over."""
        if not (arrival.found and directory.name_of(arrival) in self._held):
            self._tell(arrival, True, arrival if arrival.is_last else None, now)

    def take(self, written: Written, now: float) -> None:
        """The disk has done what it was asked for, or says why not."""
        self.fails(written.error)
        self._answered_at = now
        for name, ticket in written.tickets.items():
            held = self._held.get(name)
            if held is not None and held.ticket <= ticket:
                del self._held[name]
                self._hand_on(held, now)

    def release(self, now: float) -> None:
        """Have told what has waited for the disk too long."""
        late = self.late_at
        if late is not None and late <= now:
            self.fails(f"it has not answered for {PATIENCE_SECONDS:.0f} s")
            self.release_all(now)

    def release_all(self, now: float) -> None:
        """Have told what waits for the disk."""
        while self._held:
            _, held = self._held.popitem()
            self._hand_on(held, now)

    @property
    def late_at(self) -> float | None:
        """When the disk has taken too long; None while nothing waits for it."""
        since = min((held.since for held in self._held.values()), default=None)
        return None if since is None else max(since, self._answered_at) + PATIENCE_SECONDS

    def settled(self, entry: Report | Arrival) -> None:
        """Remove the file of an entry that need not be told any more, unless it has been replaced.

        A server may arrive again before its first arrival is acknowledged: both have one name, and
        the file is the later one's. Any thread of the agent's may call this.
        """
        name = directory.name_of(entry)
        with self._filing:
            filed = self._filed.get(name)
            if self._keeper is None or filed is None or not _is_same(filed, entry):
                return
            del self._filed[name]
            self._keeper.put(name, None, next(self._tickets))

    def fails(self, error: str | None) -> None:
        """Log and show that the disk fails, or does no more."""
        if error is not None and self._error is None:
            LOG.error(
                "%s: cannot write the state directory: %s; monitoring continues, and reports that "
                "no conductor has acknowledged are lost if the agent is killed",
                *(self.name, error),
            )
        elif error is None and self._error is not None:
            LOG.warning("%s: the state directory can be written again", self.name)
        self._error = error
        metrics.state_path(self.name, error is not None)

    def _tell(
        self, told: Report | Arrival, needs_ack: bool, entry: Entry | None, now: float
    ) -> None:
        name = directory.name_of(told)
        before = self._held.pop(name, None)
        new = _Held(told, needs_ack, ticket=0, since=now)
        if before is not None:
            # The newer one says more, and must arrive if the older one must.
            new.needs_ack = needs_ack or before.needs_ack
            new.ticket, new.since = before.ticket, before.since
        if entry is not None and self._keeper is not None:
            with self._filing:
                self._filed[name] = entry
                new.ticket = next(self._tickets)
                self._keeper.put(name, directory.encode(entry), new.ticket)
        if new.ticket and self._error is None:
            self._held[name] = new
        else:
            self._hand_on(new, now)

    def _hand_on(self, held: _Held, now: float) -> None:
        if isinstance(held.entry, Arrival):
            self.outbox.put_arrival(held.entry, now)
        else:
            self.outbox.put_report(held.entry, held.needs_ack, held.since)


def _is_same(filed: Entry, entry: Report | Arrival) -> bool:
    """Whether a file holds this entry; how long an arrival has waited changes with each message."""
    if isinstance(filed, Arrival) and isinstance(entry, Arrival):
        return filed == dataclasses.replace(entry, unmatched_seconds=filed.unmatched_seconds)
    return filed == entry

# SPDX-License-Identifier: Apache-2.0
"""The journal: stores checkpoints, ends and arrivals on disk before they are reported.

After an agent is killed at any instant, the next one knows what was reported, and reports what was
not. Most reports need no writing; the others go to the outbox when the disk has them, or when it
fails or takes too long: monitoring continues without it, and an error is logged.
"""

import dataclasses
import itertools
import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from migprog.compute.reporting.outbox import Outbox
from migprog.compute.state.entries import Entry, encode, name_of
from migprog.compute.state.writer import StateWriter, Written
from migprog.core import checkpoint as checkpoint_
from migprog.core.checkpoint import Checkpoint
from migprog.core.messages import Arrival, Report
from migprog.core.status import ENDED
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# A report waits for so long for a disk that does not answer.
PATIENCE_SECONDS = 2.0


@dataclass(slots=True)
class _Held:
    """An entry that waits until ``ticket`` is written."""

    entry: Report | Arrival
    needs_ack: bool
    ticket: int
    since: float


class Journal:
    """Used by the agent's loop alone, except :meth:`settled`. ``now`` is a monotonic clock's
    seconds. ``writer`` is None where nothing is stored; ``name`` is the agent's, for the log;
    ``boot_id`` says which boot of the host the clock counts from.
    """

    def __init__(self, writer: StateWriter | None, name: str, boot_id: str) -> None:
        self.outbox = Outbox(self.settled)
        self.name = name
        self._writer = writer
        self._boot_id = boot_id
        self._checkpoints: dict[str, Checkpoint] = {}
        # What each file holds, or will hold when all write requests are done. The lock keeps this
        # consistent with the order of the requests.
        self._filed: dict[str, Entry] = {}
        self._filing = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._tickets = itertools.count(1)
        self._answered_at = -math.inf
        self._error: str | None = None

    def load(self, entries: Mapping[str, Entry], now: float, wall: float) -> list[Checkpoint]:
        """Report what an earlier agent could not; return the migrations that may still run."""
        left: dict[str, Checkpoint] = {}
        self._filed |= entries
        for entry in entries.values():
            match entry:
                case Report():
                    self.outbox.put_report(entry, needs_ack=True, now=now)
                case Arrival():
                    self.outbox.put_arrival(entry, now)
                case Checkpoint() if entry.boot_id != self._boot_id:
                    self.lost(entry, checkpoint_.LEFT_BY_REBOOT, now, wall)
                case Checkpoint():
                    rival = left.get(entry.server_uuid, entry)
                    newer = max(entry, rival, key=lambda checkpoint: checkpoint.started_clock)
                    left[entry.server_uuid] = newer
                    if rival is not entry:
                        older = entry if newer is rival else rival
                        self.lost(older, checkpoint_.LEFT_BEHIND, now, wall)
        self._checkpoints |= {checkpoint.uuid: checkpoint for checkpoint in left.values()}
        return list(left.values())

    def lost(self, checkpoint: Checkpoint, why: str, now: float, wall: float) -> None:
        """Report a migration that ended while no agent watched it."""
        LOG.warning(
            "server %s: migration %s: %s; reported with an unknown end; see Nova's record of it",
            checkpoint.server_uuid,
            checkpoint.uuid,
            why,
        )
        self.report(
            checkpoint_.unknown_end(checkpoint, why, wall), True, checkpoint.started_clock, now
        )

    def report(self, report: Report, needs_ack: bool, started_clock: float, now: float) -> None:
        """Send a report; ``started_clock`` is when its migration's job began."""
        entry: Entry | None = None
        if report.status in ENDED:
            self._checkpoints.pop(report.uuid, None)
            entry = report
        elif checkpoint_.is_due(report, self._checkpoints.get(report.uuid), now):
            entry = checkpoint_.make(report, self._boot_id, started_clock, now)
            self._checkpoints[report.uuid] = entry
        self._store(report, needs_ack, entry, now)

    def report_arrival(self, arrival: Arrival, now: float) -> None:
        """Send an arrival. Only a final one is stored: an incoming one is seen again at its end."""
        if not (arrival.found and name_of(arrival) in self._held):
            self._store(arrival, True, arrival if arrival.is_last else None, now)

    def take(self, written: Written, now: float) -> None:
        """Handle the result of write requests."""
        self.fails(written.error)
        self._answered_at = now
        for name, ticket in written.tickets.items():
            held = self._held.get(name)
            if held is not None and held.ticket <= ticket:
                del self._held[name]
                self._put_in_outbox(held, now)

    def release(self, now: float) -> None:
        """Send what has waited for the disk too long."""
        late = self.late_at
        if late is not None and late <= now:
            self.fails(f"it has not answered for {PATIENCE_SECONDS:.0f} s")
            self.release_all(now)

    def release_all(self, now: float) -> None:
        """Send everything that waits for the disk."""
        while self._held:
            _, held = self._held.popitem()
            self._put_in_outbox(held, now)

    @property
    def late_at(self) -> float | None:
        """When the disk will have taken too long; None while nothing waits for it."""
        since = min((held.since for held in self._held.values()), default=None)
        return None if since is None else max(since, self._answered_at) + PATIENCE_SECONDS

    def settled(self, entry: Report | Arrival) -> None:
        """Remove the file of an entry that was sent for good, unless it has been replaced.

        A server may arrive again before its first arrival is acknowledged: both have one name, and
        the file is the later one's. Any thread of the agent may call this.
        """
        name = name_of(entry)
        with self._filing:
            filed = self._filed.get(name)
            if self._writer is None or filed is None or not _is_same(filed, entry):
                return
            del self._filed[name]
            self._writer.put(name, None, next(self._tickets))

    def fails(self, error: str | None) -> None:
        """Log, and set as a metric, that the disk fails, or has recovered."""
        if error is not None and self._error is None:
            LOG.error(
                "%s: cannot write the state directory: %s; monitoring continues, and reports that "
                "no conductor has acknowledged are lost if the agent is killed; check space and "
                "permissions of [compute] state_path",
                *(self.name, error),
            )
        elif error is None and self._error is not None:
            LOG.info("%s: the state directory can be written again", self.name)
        self._error = error
        metrics.state_path(self.name, error is not None)

    def _store(
        self, sent: Report | Arrival, needs_ack: bool, entry: Entry | None, now: float
    ) -> None:
        name = name_of(sent)
        before = self._held.pop(name, None)
        new = _Held(sent, needs_ack, ticket=0, since=now)
        if before is not None:
            # The newer one replaces the older one, and needs an acknowledgement if that did.
            new.needs_ack = needs_ack or before.needs_ack
            new.ticket, new.since = before.ticket, before.since
        if entry is not None and self._writer is not None:
            with self._filing:
                self._filed[name] = entry
                new.ticket = next(self._tickets)
                self._writer.put(name, encode(entry), new.ticket)
        if new.ticket and self._error is None:
            self._held[name] = new
        else:
            self._put_in_outbox(new, now)

    def _put_in_outbox(self, held: _Held, now: float) -> None:
        if isinstance(held.entry, Arrival):
            self.outbox.put_arrival(held.entry, now)
        else:
            self.outbox.put_report(held.entry, held.needs_ack, held.since)


def _is_same(filed: Entry, entry: Report | Arrival) -> bool:
    """Return whether a file holds this entry, whatever time an arrival has been unmatched."""
    if isinstance(filed, Arrival) and isinstance(entry, Arrival):
        return filed == dataclasses.replace(entry, unmatched_seconds=filed.unmatched_seconds)
    return filed == entry

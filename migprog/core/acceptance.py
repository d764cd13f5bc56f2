# SPDX-License-Identifier: Apache-2.0
"""Which entries of a batch are accepted: plausible ones that its sender may report.

Any process with the broker's password can send anything. A batch's ``host`` is the only identity
that it has; a stored migration belongs to the host that reported it first.
"""

import dataclasses
import hashlib
from datetime import datetime

from migprog.core import clocks, liveness
from migprog.core.entry_refusal import EntryRefusal, RefusalReason
from migprog.core.messages import Arrival, Batch, Report
from migprog.core.record import Record

# How far a sequence may be beyond the stored one. An agent counts at most 20 reports a second
# (poll_interval), and sets aside 256 at each of its starts (core/checkpoint.py), some of which may
# fail.
_LEAP = 2**16
_LEAP_PER_SECOND = 300.0


def by_our_clock(batch: Batch, received_at: float) -> tuple[Batch, list[EntryRefusal]]:
    """Return the batch with its instants by the conductor's clock, and the refusals of entries
    whose instants no wrong clock explains."""
    batch = clocks.by_ours(batch, received_at)
    entries: tuple[Report | Arrival, ...] = (*batch.reports, *batch.arrivals)
    absurd = [each for each in entries if clocks.is_absurd(each, received_at)]
    if absurd:
        batch = dataclasses.replace(
            batch,
            reports=tuple(each for each in batch.reports if each not in absurd),
            arrivals=tuple(each for each in batch.arrivals if each not in absurd),
        )
    return clocks.bounded(batch, received_at), [_absurd(each) for each in absurd]


def foreign(old: Record | None, report: Report, host: str, now: datetime) -> EntryRefusal | None:
    """Return why a report of ``host`` is refused, or None; ``old`` is its migration's record."""
    if old is None:
        return None
    if old.source_compute != host:
        return _refusal(
            RefusalReason.FOREIGN, report, f"host: {host!r} must be the migration's source"
        )
    if old.server_uuid != report.server_uuid:
        text = f"server_uuid: '{report.server_uuid}' must be the migration's server"
        return _refusal(RefusalReason.FOREIGN, report, text)
    quiet_seconds = max(0.0, (now - old.last_reported_at).total_seconds())
    at_most = old.sequence + _LEAP + round(_LEAP_PER_SECOND * quiet_seconds)
    if report.sequence > at_most:
        text = f"sequence: {report.sequence} must be at most {at_most} now"
        return _refusal(RefusalReason.SEQUENCE, report, text)
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class KnownAgent:
    """What is stored of a host's agent, to recognize it."""

    key_digest: str | None
    last_reported_at: datetime
    heartbeat_seconds: float


def digest(key: str | None) -> str | None:
    """Return the hash of an agent's key to store, so that the database does not reveal the key."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()


def impostor(
    old: KnownAgent | None, key: str | None, host: str, now: datetime
) -> EntryRefusal | None:
    """Return why a heartbeat for ``host`` with this key is refused, or None; ``old`` is the
    host's agent as stored.

    Until an agent with a key is silent, heartbeats with another key are refused. An agent that has
    lost its key waits for that.
    """
    if old is None or old.key_digest in (None, digest(key)):
        return None
    if liveness.is_silent(old.last_reported_at, now, old.heartbeat_seconds):
        return None
    return EntryRefusal(
        RefusalReason.AGENT,
        f"agent[{host}]",
        "key: must be that of the agent that reports as this host",
    )


def _refusal(reason: RefusalReason, report: Report, text: str) -> EntryRefusal:
    return EntryRefusal(reason, f"reports[{report.uuid}]", text)


def _absurd(entry: Report | Arrival) -> EntryRefusal:
    rule = "must be within a year before the conductor's clock and 7 days after it"
    if isinstance(entry, Arrival):
        text = f"at: {entry.at:.0f} {rule}"
        return EntryRefusal(RefusalReason.INSTANT, f"arrivals[{entry.server_uuid}]", text)
    instants = {name: getattr(entry, name) for name in ("started_at", "sampled_at", "ended_at")}
    shown = ", ".join(f"{name} {at:.0f}" for name, at in instants.items() if at is not None)
    return _refusal(RefusalReason.INSTANT, entry, f"instants: {shown}: each {rule}")

# SPDX-License-Identifier: Apache-2.0
"""When an action has waited long enough for a migration, and what came of it. Pure.

1. The end that migprog's record has decides.
2. Where migprog has no record, no fresh one or no known end, the end that Nova has decides: Nova
   alone knows of a migration that fails before libvirt begins.
3. If neither exists by ``start_timeout``, the migration has not begun in time.
4. A migration that is in trouble for too long, or lasts too long, is given up: aborted.
"""

import enum
from dataclasses import dataclass

from migprog.cli import record as records
from migprog.cli.record import Record, Trouble
from migprog.core.duration import describe
from migprog.core.status import Status

# Nova's words for a live migration that is over.
_NOVA_COMPLETED = frozenset({"completed"})
_NOVA_FAILED = frozenset({"failed", "error", "cancelled"})
_IN_TROUBLE = frozenset({Trouble.NOT_CONVERGING, Trouble.STALLED, Trouble.POST_COPY_PAUSED})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds; 0: without end.

    ``start_seconds``: for the migration to begin. ``trouble_seconds``: while the verdict is bad.
    ``total_seconds``: for all of it.
    """

    start_seconds: float = 120.0
    trouble_seconds: float = 0.0
    total_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known ``seconds`` after the request.

    ``record``: migprog's of this migration; ``nova_status``: Nova's; None where there is none.
    ``trouble_seconds``: for how long its verdict is bad without a break.
    """

    seconds: float
    record: Record | None = None
    nova_status: str | None = None
    trouble_seconds: float = 0.0


class Kind(enum.Enum):
    COMPLETED = enum.auto()
    FAILED = enum.auto()
    # To be aborted.
    GIVEN_UP = enum.auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: Kind
    message: str


def is_in_trouble(record: Record | None) -> bool:
    """Return whether a verdict that is not stale is bad."""
    return record is not None and not record.get("stale") and _trouble(record) in _IN_TROUBLE


def _trouble(record: Record) -> Trouble:
    return records.trouble(record)


def decide(seen: Seen, patience: Patience) -> Outcome | None:
    """Return what came of the migration; None: it goes on."""
    record = seen.record
    if record is not None and not record.get("in_progress"):
        ended = _by_migprog(record)
        if ended is not None:
            return ended
    if record is None or record.get("stale") or not record.get("in_progress"):
        ended = _by_nova(seen)
        if ended is not None:
            return ended
    if record is None and seen.nova_status is None:
        if 0 < patience.start_seconds <= seen.seconds:
            text = f"no migration began within {patience.start_seconds:.0f} s; see Nova's logs"
            return Outcome(Kind.FAILED, text)
        return None
    if record is not None and 0 < patience.trouble_seconds <= seen.trouble_seconds:
        text = f"{_verdict(record)}, for {describe(seen.trouble_seconds)}"
        return Outcome(Kind.GIVEN_UP, text)
    if 0 < patience.total_seconds <= seen.seconds:
        verdict = "" if record is None else f": {_verdict(record)}"
        return Outcome(Kind.GIVEN_UP, f"not over after {describe(seen.seconds)}{verdict}")
    return None


def _by_migprog(record: Record) -> Outcome | None:
    """Return the end in a record; None where no agent has seen it."""
    status = record["status"]
    if status == Status.COMPLETED:
        took = record.get("total_seconds")
        text = "completed" if took is None else f"completed in {describe(took)}"
        return Outcome(Kind.COMPLETED, text)
    if status not in (Status.FAILED, Status.CANCELLED):
        return None
    why = record.get("error") or record.get("verdict_message")
    return Outcome(Kind.FAILED, f"{status}: {why}" if why else str(status))


def _by_nova(seen: Seen) -> Outcome | None:
    if seen.nova_status in _NOVA_COMPLETED:
        return Outcome(Kind.COMPLETED, "completed, by Nova's record")
    if seen.nova_status in _NOVA_FAILED:
        text = f"{seen.nova_status}, by Nova's record; see nova-compute's log"
        return Outcome(Kind.FAILED, text)
    return None


def _verdict(record: Record) -> str:
    verdict, message = records.verdict(record, 0.0), record.get("verdict_message")
    return f"{verdict}: {message}" if message else verdict

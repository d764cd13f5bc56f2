# SPDX-License-Identifier: Apache-2.0
"""Replace words of a later version, from an agent or from the database, by known ones."""

from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.status import Phase, Status

# What a migration of this status is most likely doing.
_USUAL_PHASE = {
    Status.RUNNING: Phase.MEMORY_ITERATIONS,
    Status.POST_COPY: Phase.POST_COPY,
    Status.POST_MIGRATING: Phase.SWITCHOVER,
}


def status(word: str, has_ended: bool) -> Status:
    """Return the status of this word; for an unknown one only whether it has ended."""
    try:
        return Status(word)
    except ValueError:
        return Status.UNKNOWN if has_ended else Status.RUNNING


def phase(word: str, status: Status) -> Phase:
    """Return the phase of this word; for an unknown one the usual phase of the status."""
    try:
        return Phase(word)
    except ValueError:
        return _USUAL_PHASE.get(status, Phase.DONE)


def verdict_reason(word: str | None) -> VerdictReason | None:
    """Return the reason of this word; None for an unknown one."""
    try:
        return None if word is None else VerdictReason(word)
    except ValueError:
        return None


def verdict(word: str | None) -> Verdict | None:
    """Return the verdict of this word; None for an unknown one."""
    try:
        return None if word is None else Verdict(word)
    except ValueError:
        return None

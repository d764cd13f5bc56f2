# SPDX-License-Identifier: Apache-2.0
"""Words of a later version: what is read in their place, from an agent or from the database."""

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
    """The status of this word; of one that is not known no more than whether it has ended."""
    try:
        return Status(word)
    except ValueError:
        return Status.UNKNOWN if has_ended else Status.RUNNING


def phase(word: str, status: Status) -> Phase:
    """The phase of this word; for one that is not known the usual one of the status."""
    try:
        return Phase(word)
    except ValueError:
        return _USUAL_PHASE.get(status, Phase.DONE)


def verdict_reason(word: str | None) -> VerdictReason | None:
    """The reason of this word; None for one that is not known."""
    try:
        return None if word is None else VerdictReason(word)
    except ValueError:
        return None


def verdict(word: str | None) -> Verdict | None:
    """The verdict of this word; None for one that is not known."""
    try:
        return None if word is None else Verdict(word)
    except ValueError:
        return None

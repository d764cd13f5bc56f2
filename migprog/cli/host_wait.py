# SPDX-License-Identifier: Apache-2.0
"""What a wait for a host says at its end. Pure."""

from collections.abc import Iterable

from migprog.cli import record, text
from migprog.cli.exit_status import Exit
from migprog.cli.record import Record
from migprog.cli.state import State

_MOST_NAMED = 5


def sentence(code: Exit, host: str, state: State, now: float) -> str:
    """Return why the wait for ``host`` has ended. ``now``: the API's clock."""
    host = text.printable(host)
    if code is Exit.COMPLETED:
        return f"no migration touches host {host}"
    if code is Exit.UNKNOWN:
        return f"no migration of host {host} is known, but its agent is silent"
    if state.outage is not None:
        return f"timed out: the API does not answer: {text.printable(state.outage)}"
    if not state.records:
        return f"timed out: the API does not say whether the agent of host {host} is silent"
    found = list(state.records.values())
    touch = "migration still touches" if len(found) == 1 else "migrations still touch"
    return f"timed out: {len(found)} {touch} host {host}{_silence(found, now)}"


def _silence(found: Iterable[Record], now: float) -> str:
    """Return of which hosts nothing is known any more; empty if there is none."""
    stale = [each for each in found if each.get("stale")]
    if not stale:
        return ""
    sources = sorted({text.printable(each.get("source_compute") or "?") for each in stale})
    named = ", ".join(sources[:_MOST_NAMED])
    more = f" and {len(sources) - _MOST_NAMED} more" if len(sources) > _MOST_NAMED else ""
    age = text.duration(max(record.age_seconds(each, now) for each in stale))
    return f"; {len(stale)} of them stale: no report from {named}{more} for {age}"

# SPDX-License-Identifier: Apache-2.0
"""Which verdicts a migration had, and for how long."""

from typing import NamedTuple

from migprog.core.forecast.verdict import Verdict
from migprog.core.post_mortem.timeline import Timeline


class VerdictSpan(NamedTuple):
    """A verdict that was said ``after_seconds`` since the start, and for how long."""

    verdict: Verdict
    after_seconds: float
    seconds: float


def verdicts(line: Timeline) -> tuple[VerdictSpan, ...]:
    """Return the verdicts one after the other, without that of the end."""
    found: list[VerdictSpan] = []
    for seen, until in line.until_next():
        verdict = seen.point.verdict
        if verdict is None or verdict is Verdict.ENDED:
            continue
        seconds = until - seen.seconds
        if found and found[-1].verdict is verdict:
            before = found.pop()
            found.append(before._replace(seconds=until - before.after_seconds))
        else:
            found.append(VerdictSpan(verdict, seen.seconds, seconds))
    return tuple(found)

# SPDX-License-Identifier: Apache-2.0
"""The post-mortem of a migration, from its record and its history."""

from collections.abc import Sequence
from dataclasses import dataclass

from migprog.core.post_mortem.actions import ActionTaken, actions_taken
from migprog.core.post_mortem.facts import Facts, Moment
from migprog.core.post_mortem.forecasts import ForecastQuality, forecast_quality
from migprog.core.post_mortem.measures import Measure, measures
from migprog.core.post_mortem.phases import TimeSpent, time_spent
from migprog.core.post_mortem.timeline import timeline
from migprog.core.post_mortem.verdicts import VerdictSpan, verdicts
from migprog.core.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """``seconds``: from the start to the end, or to the latest sample of a migration in progress.
    ``downtime_seconds``: libvirt's; None: not known."""

    status: Status
    in_progress: bool
    seconds: float
    downtime_seconds: float | None
    spent: TimeSpent
    verdicts: tuple[VerdictSpan, ...]
    measures: tuple[Measure, ...]
    forecast: ForecastQuality
    actions: tuple[ActionTaken, ...]


def summarize(facts: Facts, points: Sequence[Moment]) -> Summary:
    """Return the post-mortem of a migration; of one in progress what can be said by now.

    ``points``: its history, of which the last is the record as it is.
    """
    line = timeline(facts, points)
    spent = time_spent(facts, line)
    return Summary(
        status=facts.status,
        in_progress=facts.in_progress,
        seconds=line.seconds,
        downtime_seconds=facts.downtime_seconds,
        spent=spent,
        verdicts=verdicts(line),
        measures=measures(facts, line, spent),
        forecast=forecast_quality(facts, line),
        actions=actions_taken(facts, line),
    )

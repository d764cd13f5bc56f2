# SPDX-License-Identifier: Apache-2.0
"""Convert the instants of hosts to the conductors' clock, by which everything is stored.

An agent gives all its instants by one clock, and the present time by that clock with each message.
So a conductor knows by how much a host's clock is wrong, except for the time that the message took;
it corrects the host's instants by that much before anything compares them. Without it a clock that
is an hour ahead makes an old migration look newer than the next one of its server.

Instants and distances are seconds; an offset is added to a host's instants.
"""

import dataclasses
from dataclasses import dataclass

from migprog.core.advice_entry import AdviceEntry
from migprog.core.measurement import Measured
from migprog.core.messages import Arrival, Batch, Report

# A clock that is wrong by less counts as right: a message may take so long.
TOLERATED_SECONDS = 2.0
# A correction in use is changed only where it is wrong by more: what an agent repeats must not look
# like something else.
_STEP_SECONDS = 1.0
# An instant ahead of the conductor's clock by less is left alone.
SKEW_SECONDS = 60.0
# No clock that is ahead by more is believed.
MAX_AHEAD_SECONDS = 7 * 86_400.0
# No migration is in progress, or its end unreported, for longer.
MAX_PAST_SECONDS = 365 * 86_400.0
# Clocks drift, and are slewed: evidence is worth less by so much each second.
_DRIFT = 0.001
# One message alone may be late by more; the quickest of so many is not.
_SURE_MESSAGES = 3


@dataclass(frozen=True, slots=True)
class Offset:
    """By how much a host's clock is wrong, from what was received until ``at`` (the conductor's
    clock); ``prompt`` counts the messages that were prompt, ``applied_seconds`` is the correction
    that was applied before, 0 for none."""

    seconds: float
    at: float
    prompt: int = 1
    applied_seconds: float = 0.0

    @property
    def correction_seconds(self) -> float:
        """What to add to the host's instants.

        A late message looks like a clock that is behind by up to the time of a prompt message; it
        never looks like one that is ahead.
        """
        may_be_late = 0 < self.seconds <= SKEW_SECONDS and self.prompt < _SURE_MESSAGES
        if may_be_late:
            return 0.0
        if self.applied_seconds and abs(self.seconds - self.applied_seconds) <= _STEP_SECONDS:
            return self.applied_seconds
        tolerated_seconds = _STEP_SECONDS if self.applied_seconds else TOLERATED_SECONDS
        return self.seconds if abs(self.seconds) > tolerated_seconds else 0.0


def observed(
    before: Offset | None, sent_at: float, received_at: float, is_prompt: bool
) -> Offset | None:
    """Return the host clock's offset after one more message; None if it is not known yet.

    A message takes time, never less than none: so of several the one with the least distance is
    the best evidence. ``is_prompt``: the agent waits for the answer, and the broker delivers the
    message for the first time, so it has not waited for long; other messages can only show a clock
    that is ahead. A prompt message with a far greater distance comes from a restarted agent whose
    host's clock was set back.
    """
    seconds = received_at - sent_at
    if before is None:
        return Offset(seconds, received_at, is_prompt) if is_prompt or seconds < 0 else None
    at_most = before.seconds + _DRIFT * max(0.0, received_at - before.at)
    if is_prompt and seconds > at_most + SKEW_SECONDS:
        return Offset(seconds, received_at)
    return Offset(
        min(seconds, at_most), received_at, before.prompt + is_prompt, before.correction_seconds
    )


def moved(batch: Batch, seconds: float) -> Batch:
    """Return the batch with all its instants moved, and without its own time."""
    if not seconds:
        return dataclasses.replace(batch, sent_at=None)
    agent = batch.agent
    return dataclasses.replace(
        batch,
        reports=tuple(_moved_report(each, seconds) for each in batch.reports),
        arrivals=tuple(
            dataclasses.replace(each, at=_moved(each.at, seconds)) for each in batch.arrivals
        ),
        agent=agent and dataclasses.replace(agent, started_at=_moved(agent.started_at, seconds)),
        measurements=tuple(
            dataclasses.replace(each, measured_at=_moved(each.measured_at, seconds))
            for each in batch.measurements
        ),
        sent_at=None,
    )


def by_ours(batch: Batch, received_at: float) -> Batch:
    """Return the batch by the conductor's clock, as far as it shows its host's.

    The batch of an older agent has no time of its own; an instant in the future shows that its
    host's clock is ahead.
    """
    if batch.sent_at is not None:
        offset = Offset(received_at - batch.sent_at, received_at, _SURE_MESSAGES)
        return moved(batch, offset.correction_seconds)
    newest = max(
        (*(each.sampled_at for each in batch.reports), *(each.at for each in batch.arrivals)),
        default=received_at,
    )
    if SKEW_SECONDS < newest - received_at <= MAX_AHEAD_SECONDS:
        return moved(batch, received_at - newest)
    return batch


def is_absurd(entry: Report | Arrival, now: float) -> bool:
    """Return whether an entry, by the conductor's clock, has a time that no mistake explains."""
    instants = _instants(entry)
    return min(instants) < now - MAX_PAST_SECONDS or max(instants) > now + MAX_AHEAD_SECONDS


def bounded(batch: Batch, now: float) -> Batch:
    """Return the batch, by the conductor's clock, without instants in the future, without
    measurements that no mistake explains, and without
    durations of arrivals from which such an instant, or an absurd one, would be computed."""
    latest = now + SKEW_SECONDS
    agent = batch.agent
    entries: tuple[Report | Arrival, ...] = (*batch.reports, *batch.arrivals)
    is_well = (
        all(max(_instants(each)) <= latest for each in entries)
        and all(each["at"] <= latest for report in batch.reports for each in report.advice or ())
        and all(each == _lasting_as_long_as_it_may(each, now) for each in batch.arrivals)
        and (agent is None or agent.started_at <= latest)
        and all(_is_plausible(each, now) for each in batch.measurements)
    )
    if is_well:
        return batch
    return dataclasses.replace(
        batch,
        reports=tuple(_bounded_report(each, latest, now) for each in batch.reports),
        arrivals=tuple(
            _lasting_as_long_as_it_may(
                each if each.at <= latest else dataclasses.replace(each, at=now), now
            )
            for each in batch.arrivals
        ),
        agent=agent and dataclasses.replace(agent, started_at=min(agent.started_at, now)),
        measurements=tuple(each for each in batch.measurements if _is_plausible(each, now)),
    )


def _is_plausible(measured: Measured, now: float) -> bool:
    """Return whether something was measured at a time that a wrong clock may explain."""
    return now - MAX_PAST_SECONDS < measured.measured_at <= now + SKEW_SECONDS


def _instants(entry: Report | Arrival) -> tuple[float, ...]:
    if isinstance(entry, Arrival):
        return (entry.at,)
    ended = () if entry.ended_at is None else (entry.ended_at,)
    return (entry.started_at, entry.sampled_at, *ended)


def _lasting_as_long_as_it_may(arrival: Arrival, now: float) -> Arrival:
    """Return the arrival without a total time that no migration takes; gone by now at latest."""
    total_seconds, gone_seconds = arrival.total_seconds, arrival.gone_after_seconds
    if total_seconds is not None and total_seconds > MAX_PAST_SECONDS:
        total_seconds = None
    if gone_seconds is not None and arrival.at + gone_seconds > now + SKEW_SECONDS:
        gone_seconds = max(0.0, now - arrival.at)
    if (total_seconds, gone_seconds) == (arrival.total_seconds, arrival.gone_after_seconds):
        return arrival
    return dataclasses.replace(
        arrival, total_seconds=total_seconds, gone_after_seconds=gone_seconds
    )


def _moved(at: float, seconds: float) -> float:
    return max(0.0, at + seconds)


def _moved_report(report: Report, seconds: float) -> Report:
    ended_at = report.ended_at
    return dataclasses.replace(
        report,
        started_at=_moved(report.started_at, seconds),
        sampled_at=_moved(report.sampled_at, seconds),
        ended_at=None if ended_at is None else _moved(ended_at, seconds),
        advice=report.advice and tuple(_moved_advice(each, seconds) for each in report.advice),
    )


def _moved_advice(advice: AdviceEntry, seconds: float) -> AdviceEntry:
    works_by = advice["works_by"]
    return {
        **advice,
        "at": _moved(advice["at"], seconds),
        "works_by": None if works_by is None else _moved(works_by, seconds),
    }


def _bounded_report(report: Report, latest: float, now: float) -> Report:
    def past(at: float) -> float:
        return at if at <= latest else now

    ended_at = report.ended_at
    sampled_at = past(report.sampled_at)
    is_early = report.started_at <= latest
    return dataclasses.replace(
        report,
        started_at=report.started_at if is_early else min(now, sampled_at),
        sampled_at=sampled_at,
        ended_at=None if ended_at is None else past(ended_at),
        # It may have to work by a time to come.
        advice=report.advice and tuple({**each, "at": past(each["at"])} for each in report.advice),
    )

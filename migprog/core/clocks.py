# SPDX-License-Identifier: Apache-2.0
"""Everything that is stored is by the conductors' clock, whatever the hosts' clocks show.

An agent tells all its instants by one clock, and with each message the time by that clock. So a
conductor knows how far a host's clock is off, but for the time that the message took; it moves the
instants of the host by that much before anything compares them. Without it a clock that is an hour
ahead makes an old migration look newer than the next one of its server.

Instants and distances are seconds; what is added to a host's instants gives the conductor's.
"""

import dataclasses
from dataclasses import dataclass

from migprog.core.report import Arrival, Batch, Report

# A clock that is off by less is taken as right: a message may take so long.
TOLERATED_SECONDS = 2.0
# A correction that is applied is changed only where it is wrong by more: what an agent tells again
# must not look like something else.
_STEP_SECONDS = 1.0
# What lies ahead of the conductor's clock by less is left alone.
SKEW_SECONDS = 60.0
# No clock that was set wrong by more is believed.
MAX_AHEAD_SECONDS = 7 * 86_400.0
# No migration is under way, or its end untold, for longer.
MAX_PAST_SECONDS = 365 * 86_400.0
# Clocks drift, and are slewed: evidence is worth less by so much each second.
_DRIFT = 0.001
# One message alone may be late by more; the quickest of so many is not.
_SURE_MESSAGES = 3


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a host's clock is off, by what was received until ``at`` (the conductor's clock);
    ``prompt`` counts the messages that were prompt, ``applied_seconds`` is the correction that was
    applied before, 0 for none."""

    seconds: float
    at: float
    prompt: int = 1
    applied_seconds: float = 0.0

    @property
    def correction_seconds(self) -> float:
        """What is to be added to the host's instants.

        A clock that is ahead cannot be told by a late message; one that is behind can, by up to the
        time that a prompt message may take.
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
    """What is known of a host's clock after one more of its messages; None: nothing yet.

    A message needs time, never less than none: so of several the one with the least distance is
    the best evidence. ``is_prompt``: somebody waits for its answer, so it has not waited in a queue
    for long; of other messages only a clock that is ahead can be told. A prompt message with a far
    greater distance comes from an agent that was started again, with its host's clock set back.
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
    """The batch with all its instants moved; it tells no time of its own any more."""
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
        sent_at=None,
    )


def by_ours(batch: Batch, received_at: float) -> Batch:
    """The batch by the conductor's clock, as far as it tells of its host's.

    One of an agent of before, which tells no time, shows by an instant that has not come yet that
    its host's clock is ahead.
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
    """Tell whether an entry, by the conductor's clock, tells of a time that no mistake explains."""
    told = _instants(entry)
    return min(told) < now - MAX_PAST_SECONDS or max(told) > now + MAX_AHEAD_SECONDS


def bounded(batch: Batch, now: float) -> Batch:
    """The batch, by the conductor's clock, with no instant that has not come yet, and no time that
    an arrival took from which such an instant, or an absurd one, would be worked out."""
    latest = now + SKEW_SECONDS
    agent = batch.agent
    entries: tuple[Report | Arrival, ...] = (*batch.reports, *batch.arrivals)
    is_well = (
        all(max(_instants(each)) <= latest for each in entries)
        and all(each == _lasting_as_long_as_it_may(each, now) for each in batch.arrivals)
        and (agent is None or agent.started_at <= latest)
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
    )


def _instants(entry: Report | Arrival) -> tuple[float, ...]:
    if isinstance(entry, Arrival):
        return (entry.at,)
    ended = () if entry.ended_at is None else (entry.ended_at,)
    return (entry.started_at, entry.sampled_at, *ended)


def _lasting_as_long_as_it_may(arrival: Arrival, now: float) -> Arrival:
    """The arrival without a total time that no migration takes; it was gone again by now."""
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
    )


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
    )

# SPDX-License-Identifier: Apache-2.0
"""Whatever instants are reported, none that is stored is absurd, and the rest of a batch is
stored."""

import dataclasses
import types
from datetime import timedelta
from typing import Any, get_type_hints

import pytest

from migprog import objects
from migprog.core import acceptance, clocks
from migprog.core.entry_refusal import RefusalReason
from migprog.core.messages import Agent, Arrival, ArrivalState, Batch, Report
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.stores import START, at, migration, report

DAY = 86_400.0
NOW = START + 100
# By how much an instant is wrong, and whether its entry is refused for it.
_FAR = {-1e11: True, -730 * DAY: True, 8 * DAY: True, 730 * DAY: True}
_NEAR = {-8 * DAY: False, -3600.0: False, 50.0: False, 3600.0: False}
# Everything that is told and is a time. What is no instant is a time that something takes.
INSTANTS = {
    Report: ("started_at", "sampled_at", "ended_at"),
    Arrival: ("at",),
    Agent: ("started_at",),
    Batch: ("sent_at",),
}
LENGTHS = {
    Report: (
        *("eta_seconds", "eta_low_seconds", "eta_high_seconds", "total_seconds"),
        *("downtime_seconds", "downtime_needed_seconds", "downtime_limit_seconds"),
        "expected_downtime_seconds",
        *(f"eta_at_{n}_seconds" for n in (25, 50, 75)),
        *(f"eta_error_at_{n}_seconds" for n in (25, 50, 75)),
    ),
    Arrival: ("unmatched_seconds", "total_seconds", "downtime_seconds", "gone_after_seconds"),
    Agent: ("report_interval_seconds", "heartbeat_interval_seconds", "loop_age_seconds"),
    Batch: (),
}


def _times(kind):
    """The fields of a wire type that hold seconds."""
    hints = get_type_hints(kind)
    return {name for name, hint in hints.items() if hint in (float, float | types.NoneType)}


def _told(kind, name, wrong_by):
    """A batch of three entries that is right but for one instant."""
    ended = report(
        5, Status.COMPLETED, started_at=NOW - 60, sampled_at=NOW - 5, ended_at=NOW - 5, percent=100
    )
    entries: dict[Any, Any] = {
        Report: ended,
        Arrival: Arrival(server_uuid=report().server_uuid, state=ArrivalState.INCOMING, at=NOW - 5),
        Agent: Agent(
            version="1",
            started_at=NOW - 100,
            report_interval_seconds=5.0,
            heartbeat_interval_seconds=30.0,
            migrations=1,
        ),
        Batch: Batch(host="h", node="h.lab", sent_at=NOW),
    }
    wrong = max(0.0, getattr(entries[kind], name) + wrong_by)
    entries[kind] = dataclasses.replace(entries[kind], **{name: wrong})
    return entries, dataclasses.replace(
        entries[Batch],
        reports=(entries[Report],),
        arrivals=(entries[Arrival],),
        agent=entries[Agent],
    )


class Dating:
    def test_each_time_field_of_a_report_is_an_instant_or_a_duration(self):
        for kind, names in INSTANTS.items():
            assert _times(kind) == {*names, *LENGTHS[kind]}

    @pytest.mark.parametrize(("wrong_by", "is_refused"), [*(_FAR | _NEAR).items()])
    @pytest.mark.parametrize("name", INSTANTS[Report])
    def test_an_instant_of_a_report_is_refused_or_believable(
        self, store, name, wrong_by, is_refused
    ):
        entries, batch = _told(Report, name, wrong_by)
        came = report(server_uuid=entries[Arrival].server_uuid, started_at=NOW - 30)
        stores.store(store, came, host="source", last_reported_at=NOW - 20)
        stored = objects.store_batch(store, batch, NOW)
        assert [each.reason for each in stored.refused] == [RefusalReason.INSTANT] * is_refused
        assert bool(stored.ack.refused) is is_refused, "its agent need not tell it again"
        # The others of the batch are not held up by it.
        assert migration(store, came).dest_compute == "h"
        assert objects.Agent.get(store, "h").started_at == at(NOW - 100)
        if not is_refused:
            kept = migration(store, entries[Report])
            earliest = at(NOW - clocks.MAX_PAST_SECONDS)
            assert earliest <= kept.started_at <= kept.sampled_at <= at(NOW + 60)
            assert kept.started_at <= kept.ended_at <= at(NOW + 60)

    @pytest.mark.parametrize(("wrong_by", "is_refused"), [*(_FAR | _NEAR).items()])
    def test_an_instant_of_an_arrival_is_refused_or_believable(self, store, wrong_by, is_refused):
        entries, batch = _told(Arrival, "at", wrong_by)
        came = report(server_uuid=entries[Arrival].server_uuid, started_at=NOW - 30)
        stores.store(store, came, host="source", last_reported_at=NOW - 20)
        stored = objects.store_batch(store, batch, NOW)
        assert [each.reason for each in stored.refused] == [RefusalReason.INSTANT] * is_refused
        assert migration(store, entries[Report]).status is Status.COMPLETED
        arrived_at = migration(store, came).arrived_at
        assert arrived_at is None or at(NOW - 90) <= arrived_at <= at(NOW + 60)

    @pytest.mark.parametrize(
        ("lasts", "began"),
        [
            ({"total_seconds": 7e9, "gone_after_seconds": 7e9}, NOW - 80),
            ({"gone_after_seconds": 7e9}, NOW - 80),
            ({"total_seconds": 40.0, "gone_after_seconds": 60.0}, NOW - 120),
        ],
    )
    def test_an_arrival_lasts_no_longer_than_any_does(self, store, lasts, began):
        server_uuid = report().server_uuid
        gone = Arrival(
            server_uuid=server_uuid,
            state=ArrivalState.INCOMING,
            at=NOW - 80,
            unmatched_seconds=300.0,
            **lasts,
        )
        batch = Batch(host="h", node="h.lab", arrivals=(gone,), sent_at=NOW)
        objects.store_batch(store, batch, NOW)
        (kept,) = objects.Migration.list(store, server_uuid=server_uuid)
        assert kept.started_at == at(began)
        assert kept.started_at <= kept.ended_at <= at(NOW + 60)

    @pytest.mark.parametrize("wrong_by", [*_FAR, *_NEAR])
    def test_an_agent_began_before_now(self, store, wrong_by):
        entries, batch = _told(Agent, "started_at", wrong_by)
        assert not objects.store_batch(store, batch, NOW).refused
        assert objects.Agent.get(store, "h").started_at <= at(NOW + 60)
        assert migration(store, entries[Report]).started_at == at(NOW - 60)

    @pytest.mark.parametrize("wrong_by", [*_FAR, *_NEAR])
    def test_a_batch_that_was_sent_at_any_time_stores_nothing_absurd(self, store, wrong_by):
        entries, batch = _told(Batch, "sent_at", wrong_by)
        stored = objects.store_batch(store, batch, NOW)
        earliest, latest = at(NOW - clocks.MAX_PAST_SECONDS), at(NOW + 60)
        if not stored.refused:
            kept = migration(store, entries[Report])
            assert earliest <= kept.started_at <= kept.sampled_at <= kept.ended_at <= latest
        assert {each.reason for each in stored.refused} <= {RefusalReason.INSTANT}
        assert objects.Agent.get(store, "h").started_at <= latest

    def test_start_by_a_clock_that_was_set_back_since_is_corrected(self, store):
        first = report()
        stores.store(store, first)
        end = stores.later(first, status=Status.FAILED, ended_at=START - 50)
        end = dataclasses.replace(end, started_at=START - 90, sampled_at=START - 50)
        stores.store(store, end)
        kept = migration(store, first)
        assert (kept.started_at, kept.sampled_at) == (at(START - 90), at(START - 50))
        assert kept.ended_at == kept.sampled_at

    def test_agent_whose_heartbeat_is_two_years_ahead_is_silent(self, store):
        """By a conductor whose clock was wrong. It must not keep the next agent out until then."""
        before = _told(Agent, "started_at", 0.0)[1].agent
        for key, last_reported_at in (("one", NOW + 730 * DAY), ("another", NOW)):
            batch = Batch("later", "n", agent=dataclasses.replace(before, key=key))
            assert not objects.store_batch(store, batch, last_reported_at).refused
        agent = objects.Agent.get(store, "later")
        assert (agent.last_reported_at, agent.is_silent(at(NOW))) == (at(NOW), False)
        assert agent.is_silent(at(NOW - 730 * DAY))
        refusal = acceptance.impostor(
            acceptance.KnownAgent("x", at(NOW), 30.0),
            "another",
            "later",
            at(NOW) + timedelta(seconds=1),
        )
        assert refusal is not None

    def test_reports_after_a_conductors_clock_was_set_back_are_by_that_clock(self, store):
        """Its hosts' instants are by the new clock, and the first ones are still to come."""
        hour = 3600
        first = report(percent=1)
        stores.store(store, first, last_reported_at=START + 2)
        arrives = stores.arrival(first.server_uuid, START + 1)
        stores.store(store, arrives, host="b", last_reported_at=START + 3)
        moved = dataclasses.replace(first, started_at=START - hour)
        on_way = stores.later(moved, 40, percent=40)
        stores.store(store, on_way, last_reported_at=START - hour + 41)
        kept = migration(store, first)
        assert (kept.started_at, kept.sampled_at) == (at(START - hour), at(START - hour + 40))
        there = dataclasses.replace(
            arrives,
            at=START - hour + 50,
            state=ArrivalState.RESUMED,
            complete=True,
            total_seconds=50.0,
        )
        stores.store(store, there, host="b", last_reported_at=START - hour + 51)
        assert migration(store, first).arrived_at == at(START - hour + 50)
        end = stores.later(moved, 50, Status.COMPLETED, ended_at=START - hour + 50)
        stores.store(store, end, last_reported_at=START - hour + 52)
        kept = migration(store, first)
        assert (kept.status, kept.started_at) == (Status.COMPLETED, at(START - hour))
        assert kept.ended_at == at(START - hour + 50)

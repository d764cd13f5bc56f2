# SPDX-License-Identifier: Apache-2.0
"""What others are notified of, as the transcripts say: see migprog/tests/transcripts."""

import dataclasses
import os
import threading
import uuid

import pytest

from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Arrival, Batch
from migprog.core.notices import Kind
from migprog.core.status import Phase, Status
from migprog.tests import notifications, stores, transcripts
from migprog.tests.stores import START, later, report


def _store(store, *entries, host="source", at=START + 100):
    """Store entries as one batch, and return the events."""
    batch = Batch(
        host=host,
        node=f"{host}.example.org",
        reports=tuple(each for each in entries if not isinstance(each, Arrival)),
        arrivals=tuple(each for each in entries if isinstance(each, Arrival)),
    )
    received = [objects.ReceivedBatch(batch, at)]
    (stored,) = objects.store_batches(store, received, for_notices=True)
    assert not stored.ack.refused
    return stored.events


class Noticing:
    @pytest.mark.parametrize("path", transcripts.NOTICES, ids=lambda path: path.stem)
    def test_store_notifies_of_what_the_transcript_says(self, store, path):
        def take(step):
            events = _store(store, step.entry, host=step.host, at=step.received)
            return [notifications.in_words(each) for each in events]

        uuids = str(uuid.uuid4()), str(uuid.uuid4())
        text = transcripts.replay_notices(path, *uuids, take)
        if "MIGPROG_REWRITE_TRANSCRIPTS" in os.environ:
            path.write_text(text)
        assert text == path.read_text()

    def test_events_are_not_returned_unless_asked_for(self, store):
        first = report(verdict=Verdict.COPYING)
        batch = objects.ReceivedBatch(Batch("source", "source", reports=(first,)), START + 100)
        assert objects.store_batches(store, [batch])[0].events == ()

    def test_reports_of_one_batch_are_notified_of_in_their_order(self, store):
        first = report(verdict=Verdict.COPYING)
        worse = later(first, verdict=Verdict.STALLED)
        end = later(worse, 3, Status.FAILED, phase=Phase.DONE, ended_at=START + 3)
        assert [each.kind for each in _store(store, end, first, worse)] == [
            *(Kind.START, Kind.VERDICT_CHANGED, Kind.END)
        ]

    def test_end_has_the_final_figures_and_novas_ids(self, store):
        first = report(verdict=Verdict.COPYING, server_name="web 🐎", memory_total_bytes=4000)
        _store(store, first)
        record = stores.nova_record(first)
        objects.name(store, stores.migration(store, first), record, START + 100)
        end = later(
            dataclasses.replace(first, server_name=None),
            *(2, Status.COMPLETED),
            phase=Phase.DONE,
            verdict=Verdict.ENDED,
            ended_at=START + 2.5,
            total_seconds=2.5,
            downtime_seconds=0.25,
            eta_at_50_seconds=1.5,
            eta_in_range_at_50=True,
        )
        (event,) = _store(store, end)
        data = notifications.sent(event)
        stored = stores.migration(store, first)
        for name in data.keys() - {"previous_status", "started_at", "sampled_at", "ended_at"}:
            assert data[name] == getattr(stored, name), name
        assert (data["nova_id"], data["nova_uuid"]) == (record.id, record.uuid)
        assert data["ended_at"] == f"{stored.ended_at:%Y-%m-%dT%H:%M:%S.%f}Z"
        assert data["previous_status"] == "running"

    def test_conductors_that_store_the_same_report_at_once_notify_once(self, store, other_store):
        first = report(verdict=Verdict.COPYING)
        _store(store, first)
        worse = later(first, verdict=Verdict.NOT_CONVERGING)
        both = threading.Barrier(2)
        found = []

        def run(own):
            both.wait(30)
            found.append(_store(own, worse))

        threads = [threading.Thread(target=run, args=(own,)) for own in (store, other_store)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
        assert sorted(map(len, found)) == [0, 1]

    def test_job_that_two_agents_report_is_notified_of_once(self, store):
        """Under the UUID of its record."""
        first = report(verdict=Verdict.COPYING)
        twin = later(first, 1, uuid=str(uuid.uuid4()), verdict=Verdict.STALLED)
        (start,) = _store(store, first)
        events = _store(store, twin)
        assert {each.kind for each in events} <= {Kind.VERDICT_CHANGED}
        assert {each.migration["uuid"] for each in (start, *events)} == {first.uuid}

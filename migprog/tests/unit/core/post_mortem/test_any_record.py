# SPDX-License-Identifier: Apache-2.0
"""Any record and history that a store could hold, and more: a summary is made, and adds up."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from migprog.core.fields import MAX_COUNT
from migprog.core.forecast.verdict import Verdict
from migprog.core.post_mortem.sentences import sentences
from migprog.core.post_mortem.summary import summarize
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import Phase, Status
from migprog.objects import Point
from migprog.tests.fixtures.hindsight import Known

START = datetime(2026, 9, 1, tzinfo=UTC)
# A clock may have been set back.
instants = st.floats(-100, 10**6).map(lambda seconds: START + timedelta(seconds=seconds))
counts = st.none() | st.integers(0, MAX_COUNT) | st.integers(0, 100)
seconds = st.none() | st.floats(0, 7e9) | st.floats(0, 3)
advice = st.fixed_dictionaries(
    {
        "at": st.floats(0, 7e9),
        "works_by": st.none(),
        "action": st.text(max_size=32),
        "reason": st.sampled_from(["not-converging", "nova-downtime-step", "another"]),
        "message": st.text(max_size=9),
        "figures": st.just({}),
        "state": st.sampled_from(["advised", "done", "failed", "another"]),
    }
)
actions = st.fixed_dictionaries(
    {
        "after_seconds": st.floats(0, 7e9),
        "action": st.sampled_from(["abort", "force_complete", "another"]),
        "state": st.sampled_from(["begun", "done", "failed", "another"]),
        **dict.fromkeys(("user_id", "project_id", "request_id"), st.none() | st.text(max_size=9)),
    }
)
points = st.builds(
    Point,
    sampled_at=instants,
    status=st.sampled_from(Status),
    phase=st.sampled_from(Phase),
    verdict=st.none() | st.sampled_from(Verdict),
    eta_seconds=seconds,
    eta_low_seconds=seconds,
    eta_high_seconds=seconds,
    memory_remaining_bytes=counts,
    memory_iteration=counts,
    iteration_start_remaining_bytes=counts,
    throughput_bytes_per_second=counts,
    dirty_bytes_per_second=counts,
    cpu_throttle_percent=st.none() | st.integers(0, 100),
)
records = st.builds(
    Known,
    status=st.sampled_from(Status),
    started_at=st.just(START),
    sampled_at=instants,
    ended_at=st.none() | instants,
    downtime_seconds=seconds,
    downtime_limit_seconds=seconds,
    bandwidth_needed_bytes_per_second=counts,
    vfio_transferred_bytes=counts,
    advice=st.none() | st.lists(advice, max_size=4).map(tuple),
    actions=st.none() | st.lists(actions, max_size=4).map(tuple),
)


@given(records, st.lists(points, max_size=12))
def test_summary_of_any_record_is_made_and_adds_up(record, history):
    found = summarize(record, history)
    assert len(sentences(found)) == 5 and all(sentences(found))
    spent = sum(share.seconds for share in found.spent.shares)
    assert abs(spent - found.seconds) <= 1e-6 * max(1.0, found.seconds)
    assert all(share.seconds > 0 for share in found.spent.shares)
    assert all(0 <= span.seconds <= found.seconds for span in found.verdicts)
    assert all(0 <= taken.after_seconds <= found.seconds for taken in found.actions)
    # What is not known has a reason, and what is known has none.
    for each in found.measures:
        assert (each.reason is None) == bool(each.figures)
        assert each.earlier_seconds is None or 0 < each.earlier_seconds <= found.seconds
    assert (found.spent.dominant is None) == (found.spent.reason is WhyNotKnown.NOT_OBSERVED)
    assert (found.forecast.error_seconds is None) == (found.forecast.reason is not None)
    # It can be sent: no number is infinite.
    json.dumps([dict(each.figures) for each in found.measures], allow_nan=False)


@given(records, st.lists(points, max_size=12))
def test_what_is_in_progress_claims_nothing_of_its_end(record, history):
    found = summarize(dataclasses.replace(record, status=Status.RUNNING, ended_at=None), history)
    assert {each.reason for each in found.measures} == {WhyNotKnown.IN_PROGRESS}
    assert found.forecast.reason is WhyNotKnown.IN_PROGRESS

# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migprog.core import fields, merge, notices
from migprog.core.advice_entry import AdviceEntry
from migprog.core.forecast.verdict import Verdict
from migprog.core.instant import to_store
from migprog.core.messages import Report
from migprog.core.notices import Before, Kind
from migprog.core.record import Record
from migprog.core.status import Phase, Status
from migprog.tests import notifications, stores
from migprog.tests.store_cases.advice import ADVICE, LARGEST
from migprog.tests.stores import START, later, report

_NOW = to_store(START + 100)


def _entry(word: str, at: float = START) -> AdviceEntry:
    """``a`` is advised, ``A`` done."""
    state = "advised" if word.islower() else "done"
    return {**ADVICE, "message": word.lower(), "at": at, "state": state}


def _entries(words: str, at: float = START) -> list[AdviceEntry]:
    return [_entry(word, at) for word in words]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("", "", []),
        ("", "ab", [("a", None), ("b", None)]),
        ("a", "a", []),
        ("a", "A", [("A", "advised")]),
        ("a", "Ab", [("A", "advised"), ("b", None)]),
        ("Ab", "AbC", [("C", None)]),
        # The oldest is dropped.
        ("abc", "bcd", [("d", None)]),
        ("abc", "bCd", [("C", "advised"), ("d", None)]),
        # The newest is forgotten.
        ("abc", "ab", []),
        # Nothing in common.
        ("abc", "xy", [("x", None), ("y", None)]),
    ],
)
def test_changed_advice_has_new_entries_and_new_states(
    old: str, new: str, changed: list[tuple[str, str | None]]
) -> None:
    """Whatever the correction of the host's clock."""
    found = notices.changed_advice(_entries(old), _entries(new, START + 0.7))
    expected = [({**_entry(word), "at": START + 0.7}, state) for word, state in changed]
    assert found == expected


@given(st.text("abcAB", max_size=12), st.text("abcAB", max_size=6), st.integers(0, 12))
def test_entries_that_only_were_added_are_the_changed_ones(old: str, added: str, cut: int) -> None:
    """However many of the oldest are dropped: at most the added ones, and none is missed unless
    it looks like one that was dropped."""
    new = (old + added)[cut:]
    found = notices.changed_advice(_entries(old), _entries(new))
    assert len(found) <= len(new)
    if cut == 0:
        assert [each for each, _ in found] == _entries(added)


def _record(before: Record | None, new: Report) -> Record:
    record = merge.report(before, new, "source", "node", _NOW)
    assert record is not None
    return record


_STEPS = st.lists(
    st.tuples(
        st.sampled_from([Status.RUNNING, Status.RUNNING, Status.POST_COPY, Status.COMPLETED]),
        st.sampled_from([None, Verdict.COPYING, Verdict.CONVERGING, Verdict.STALLED]),
    ),
    min_size=1,
    max_size=30,
)


@given(_STEPS)
def test_each_change_is_notified_of_once(steps: Sequence[tuple[Status, Verdict | None]]) -> None:
    """One start, at most one end, which is last, and verdicts that follow on each other."""
    new = report(0, Status.RUNNING)
    record: Record | None = None
    events: list[notices.Event] = []
    for number, (status, verdict) in enumerate(steps, 1):
        changed = later(new, number, status, verdict=verdict)
        after = merge.report(record, changed, "source", "node", _NOW)
        if after is None:
            continue
        events += notices.between(record and Before.of(record), after)
        record = after
    kinds = [each.kind for each in events]
    assert kinds[0] is Kind.START and kinds.count(Kind.START) == 1
    assert Kind.END not in kinds[:-1]
    verdict = events[0].migration["verdict"]
    for each in events[1:]:
        data = notifications.sent(each)
        if each.kind is Kind.VERDICT_CHANGED:
            assert data["previous_verdict"] == verdict != data["verdict"]
            verdict = data["verdict"]


def test_progress_alone_is_no_event() -> None:
    first = report(verdict=Verdict.COPYING, percent=1)
    before = _record(None, first)
    after = _record(before, later(first, percent=2, memory_remaining_bytes=17))
    assert notices.between(Before.of(before), after) == ()


def test_destination_alone_is_no_event() -> None:
    """Such a record has no figures."""
    record = Record(
        uuid="a",
        server_uuid="b",
        source_compute="source",
        dest_compute="dest",
        sequence=1,
        status=Status.RUNNING,
        started_at=_NOW,
        sampled_at=_NOW,
        last_reported_at=_NOW,
    )
    assert notices.between(Before(Status.RUNNING, None), record) == ()


def test_longest_values_fit() -> None:
    longest = "🐎" * fields.MAX_TEXT
    texts = dict.fromkeys(
        ("server_name", "project_id", "user_id", "verdict_message", "error"), longest
    )
    first = report(
        status=Status.FAILED, phase=Phase.DONE, ended_at=START + 2, advice=(LARGEST,), **texts
    )
    events = notices.between(None, _record(None, first))
    assert [each.kind for each in events] == [Kind.START, Kind.ACTION, Kind.END]
    for each in events:
        assert notifications.sent(each)["server_name"] == longest


def test_request_has_who_asked() -> None:
    values = stores.report(verdict=Verdict.STALLED)
    record = _record(None, values)
    who = {"user_id": "admin", "project_id": "ops", "request_id": "req-1"}
    event = notices.requested(record.get, "abort", START, who)
    data = notifications.sent(event)
    assert (data["uuid"], data["verdict"], data["previous_state"]) == (values.uuid, "stalled", None)
    action = data["action"]
    assert (action["action"], action["by"], action["state"]) == ("abort", "operator", "requested")
    assert {name: action[name] for name in who} == who

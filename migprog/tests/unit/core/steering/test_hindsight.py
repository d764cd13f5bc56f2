# SPDX-License-Identifier: Apache-2.0
"""How right decisions were, by the records of migrations that have ended."""

import itertools

import pytest

from migprog.core.status import ENDED, Status
from migprog.core.steering.advice import AdviceReason, State, SteeringAction
from migprog.core.steering.hindsight import End, Score, look_back


def entry(action="raise-downtime", state="advised", at=100.0, reason="not-converging", **figures):
    return {
        "at": at,
        "works_by": at + 60.0,
        "action": action,
        "reason": reason,
        "message": "m",
        "figures": figures,
        "state": state,
    }


def scores(*advice, status=Status.COMPLETED, at=400.0, limit=0.3):
    return [each.score for each in look_back(advice, End(status, at, limit))]


def test_what_was_done_worked_if_the_migration_ended_as_it_was_to():
    for state in ("done", "followed"):
        assert scores(entry(state=state)) == [Score.WORKED]
        assert scores(entry(state=state), status=Status.CANCELLED) == [Score.IN_VAIN]
    assert scores(entry("abort", "done"), status=Status.CANCELLED) == [Score.WORKED]
    assert scores(entry("abort", "done")) == [Score.IN_VAIN]


def test_what_was_not_done_was_needless_only_if_it_completed_by_itself():
    assert scores(entry()) == [Score.NEEDLESS]
    assert scores(entry("abort")) == [Score.NEEDLESS]
    assert scores(entry(state="failed")) == [Score.NEEDLESS]
    assert scores(entry(), status=Status.CANCELLED) == [Score.WARRANTED]
    # Another party has set a limit, not as high as was advised.
    assert scores(entry(downtime_limit_before_seconds=0.3), limit=0.6) == [None]
    assert scores(entry(downtime_limit_before_seconds=0.3), limit=0.3) == [Score.NEEDLESS]


def test_an_abort_that_somebody_did_is_as_advised():
    assert scores(entry("abort"), status=Status.CANCELLED) == [Score.WORKED]


def test_an_end_after_the_deadline_is_no_success():
    late = {"reason": "deadline-at-risk", "left_seconds": 200.0}
    assert scores(entry(**late), at=299.0) == [Score.NEEDLESS]
    assert scores(entry(**late), at=301.0) == [Score.WARRANTED]
    assert scores(entry(state="done", **late), at=299.0) == [Score.WORKED]
    assert scores(entry(state="done", **late), at=301.0) == [Score.IN_VAIN]


def test_what_needed_more_afterwards_was_in_vain_and_what_was_set_again_was_not():
    first, more = entry(state="done"), entry("post-copy", "done", at=200.0)
    assert scores(first, more) == [Score.IN_VAIN, Score.WORKED]
    assert scores(entry(), more) == [None, Score.WORKED]
    again = entry(state="done", at=200.0, reason="limit-lowered")
    assert scores(first, again) == [Score.WORKED, Score.WORKED]


def test_what_nova_does_and_ends_that_show_nothing_have_no_score():
    foretold = entry(reason="nova-downtime-step")
    stopped = entry("stop-asserting", "done", reason="lowered-repeatedly")
    assert scores(foretold, stopped) == [None, None]
    assert scores(entry(), foretold) == [Score.NEEDLESS, None]
    for status in (Status.FAILED, Status.UNKNOWN):
        assert scores(entry(), status=status) == [None]


def test_message_says_what_was_advised_whether_it_was_done_and_how_it_ended():
    def said(*advice, status=Status.COMPLETED):
        return [each.message for each in look_back(advice, End(status, 400.0))]

    assert said(entry()) == ["raise-downtime advised; not done; it completed 5 min 00 s later"]
    assert said(entry("abort", "done"), status=Status.CANCELLED) == [
        "abort advised; done; it was aborted 5 min 00 s later"
    ]
    assert said(entry(state="followed"), status=Status.FAILED) == [
        "raise-downtime advised; done by another party; it failed 5 min 00 s later"
    ]
    assert said(entry(state="failed"), status=Status.UNKNOWN) == [
        "raise-downtime advised; could not be done; its end was not seen"
    ]
    assert said(entry(reason="nova-completion-timeout")) == [None]


@pytest.mark.parametrize("status", sorted(ENDED))
def test_every_word_of_an_entry_can_be_scored(status):
    words = itertools.product(
        [*SteeringAction, "later"], [*State, "later"], [*AdviceReason, "later"]
    )
    advice = [entry(action, state, reason=reason) for action, state, reason in words]
    assert len(look_back(advice, End(status, 400.0))) == len(advice)

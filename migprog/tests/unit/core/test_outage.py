# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.outage import PAUSE_SECONDS, REMIND_SECONDS, Ended, Failing, Outage


def test_first_failure_and_end_of_an_outage_are_logged():
    outage = Outage()
    assert outage.failed("refused", 10.0) == Failing("refused", 1, 0.0, True)
    assert outage.failed("refused", 11.0) is None
    assert outage.worked(14.0) == Ended(2, 4.0)
    assert not outage.is_open


def test_success_without_an_outage_is_not_logged():
    assert Outage().worked(1.0) is None


def test_repeated_failures_are_logged_as_a_number_every_five_minutes():
    outage = Outage()
    due = [outage.failed("refused", float(second)) for second in range(1, 700)]
    logged = [each for each in due if each]
    assert [(each.failures, each.seconds) for each in logged] == [(1, 0), (301, 300), (601, 600)]
    assert [each.is_new for each in logged] == [True, False, False]


def test_each_cause_of_an_outage_is_logged_once():
    outage = Outage()
    causes = ["refused", "silent"] * 20
    logged = [outage.failed(cause, float(n)) for n, cause in enumerate(causes)]
    assert [each.cause for each in logged if each] == ["refused", "silent"]


def test_party_that_fails_and_works_by_turns_is_logged_once_a_minute():
    outage = Outage()
    begins = ends = 0
    for second in range(600):
        begins += outage.failed("refused", second) is not None
        ends += outage.worked(second + 0.5) is not None
    assert begins == ends == 600 / PAUSE_SECONDS


@given(st.lists(st.one_of(st.none(), st.text(max_size=2)), min_size=1, max_size=300))
def test_lines_are_few_whatever_happens(causes):
    """One call a second, of failures with any causes and of successes (None)."""
    outage, lines = Outage(), 0
    for second, cause in enumerate(causes):
        due = outage.worked(second) if cause is None else outage.failed(cause, second)
        lines += due is not None
    minutes = len(causes) / PAUSE_SECONDS + 1
    assert lines <= 2 * 8 * minutes + len(causes) / REMIND_SECONDS

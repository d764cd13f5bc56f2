# SPDX-License-Identifier: Apache-2.0
"""Which advice asks for somebody, in records as the API shows them."""

from typing import Any

import pytest

from migprog.cli import advice, fleet, pending_advice, text
from migprog.cli.record import Trouble, trouble
from migprog.core.steering.advice import BY_NOVA, AdviceReason, State
from migprog.tests.unit.cli.records import NOW, entry, record, stuck


def late(**values: Any) -> dict[str, Any]:
    """The deadline was 100 s away a minute ago."""
    figures = {"downtime_limit_seconds": 1.2, "left_seconds": 100.0}
    return entry(**({"reason": "deadline-at-risk", "figures": figures} | values))


def ends_by(seconds: float, **values: Any) -> dict[str, Any]:
    return record(ends_at_latest=text.instant(NOW + seconds), **values)


def test_advice_that_was_not_followed_is_pending() -> None:
    each = ends_by(60, advice=[late()])
    assert pending_advice.pending(each) == late()
    assert trouble(each) is Trouble.ADVISED
    assert advice.line(each, NOW).startswith("raise the downtime limit to 1.2 s - ")
    assert fleet.totals([each]).by_trouble == {Trouble.ADVISED: 1}


@pytest.mark.parametrize(
    "each",
    [
        # It was done, by whoever.
        ends_by(60, advice=[late(state="done")]),
        ends_by(60, advice=[late(state="followed")]),
        ends_by(60, advice=[late()], downtime_limit_seconds=1.2),
        # It ends in time by now.
        ends_by(39, advice=[late()]),
        # It converges by now.
        record(advice=[entry()]),
        record(advice=[entry(action="abort", reason="hopeless", figures={})]),
        record(advice=[entry(state="failed")]),
        record(advice=[entry(reason="disks-do-not-converge")], verdict="copying"),
        # Nothing more is to be done.
        ends_by(60, advice=[late(), entry(action="stop-asserting", reason="lowered-repeatedly")]),
        # nova-compute does it by itself.
        *(ends_by(60, advice=[late(reason=reason.value)]) for reason in sorted(BY_NOVA)),
        # A later decision was carried out.
        ends_by(60, advice=[late(), late(action="post-copy", state="done")]),
    ],
)
def test_advice_that_is_over_marks_no_migration(each: dict[str, Any]) -> None:
    assert trouble(each) is Trouble.NONE
    assert advice.line(each, NOW) is None
    assert fleet.totals([each]).in_trouble == 0


def test_what_nova_does_hides_no_advice_of_steering() -> None:
    nova = entry(reason="nova-downtime-step")
    assert trouble(ends_by(60, advice=[late(), nova])) is Trouble.ADVISED


def test_what_steering_could_not_do_asks_for_somebody() -> None:
    assert trouble(ends_by(60, advice=[late(state="failed")])) is Trouble.ADVISED


def test_a_bad_verdict_needs_somebody_whatever_was_done() -> None:
    for state in State:
        assert trouble(stuck(advice=[entry(state=state.value)])) is Trouble.NOT_CONVERGING


def test_words_of_later_agents_ask_for_somebody() -> None:
    assert trouble(record(advice=[entry(action="of-next-year", reason="new")])) is Trouble.ADVISED
    assert trouble(record(advice=[{}])) is Trouble.ADVISED


@pytest.mark.parametrize("reason", sorted(set(AdviceReason) - BY_NOVA))
def test_each_reason_is_over_with_its_migration(reason: AdviceReason) -> None:
    each = record(advice=[entry(reason=reason.value)], in_progress=False, status="completed")
    assert trouble(each) is Trouble.COMPLETED

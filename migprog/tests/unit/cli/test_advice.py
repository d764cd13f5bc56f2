# SPDX-License-Identifier: Apache-2.0
import csv
import pathlib

import pytest

from migprog.cli import advice, text
from migprog.core.forecast.verdict import BAD
from migprog.tests.unit.cli.records import NOW, ended, entry, stuck

TABLE = pathlib.Path(__file__).resolve().parents[4] / "doc/source/verdicts.csv"


def test_advice_of_steering_comes_before_the_reason_of_the_verdict() -> None:
    given = [entry(message="old"), entry(message="allow 2.5 s")]
    assert advice.line(stuck(advice=given), NOW).startswith("allow 2.5 s - remaining memory")
    assert advice.line(stuck(advice=[{"action": "post-copy"}]), NOW).startswith("post-copy - ")
    # An API before microversion 1.2 has no such key, one of later may have nothing to say.
    for each in (stuck(), stuck(advice=[]), stuck(advice=None)):
        assert advice.line(each, NOW).startswith("needs a downtime of 2.3 s")


def test_what_steering_has_done_is_not_asked_for() -> None:
    done = entry(state="done", works_by=text.instant(NOW + 34))
    line = advice.line(stuck(advice=[done]), NOW)
    assert line.startswith("steering has done this: raise-downtime; it works within 34s - rem")
    # It has not worked: the reason of the verdict says what does.
    assert advice.line(stuck(advice=[done]), NOW + 35).startswith("needs a downtime of 2.3 s")


@pytest.mark.parametrize("state", ["followed", "done"])
def test_advice_that_was_followed_in_vain_is_not_repeated(state: str) -> None:
    line = advice.line(stuck(advice=[entry(state=state)]), NOW)
    assert line.startswith("needs a downtime of 2.3 s")


def test_what_nova_will_do_next_follows_what_is_needed() -> None:
    nova = entry(
        reason="nova-downtime-step",
        message="nova-compute sets 95 ms",
        works_by=text.instant(NOW + 5),
    )
    line = advice.line(stuck(advice=[nova]), NOW)
    assert "; else post-copy or abort - nova-compute sets 95 ms - remaining memory" in line
    assert "nova-compute" not in advice.line(stuck(advice=[nova]), NOW + 6)


def test_advice_says_what_is_needed_before_a_narrow_terminal_cuts_it() -> None:
    line = advice.line(stuck(), NOW)
    said = "needs a downtime of 2.3 s (limit 300 ms) or 138M/s; else post-copy or abort"
    assert line == f"{said} - remaining memory no longer shrinks (46 MiB per iteration)"
    assert len(said) <= 76


def test_advice_without_figures_is_the_verdict_message() -> None:
    unknown = {"downtime_needed_seconds": None, "bandwidth_needed_bytes_per_second": None}
    assert advice.line(stuck(**unknown), NOW) == stuck()["verdict_message"]
    assert advice.line(stuck(verdict_reason="of-next-year"), NOW) == stuck()["verdict_message"]
    assert advice.line(stuck(verdict_reason=None, verdict_message=None), NOW) is None


@pytest.mark.parametrize(
    "reason", [row["Reason"] for row in csv.DictReader(TABLE.open()) if row["Verdict"] in BAD]
)
def test_every_reason_of_a_bad_verdict_has_advice_of_its_own(reason: str) -> None:
    each = stuck(verdict="stalled", verdict_reason=reason, verdict_message=None)
    said = advice.line(each, NOW)
    assert said and len(said) <= 76


def test_end_that_is_bad_says_why() -> None:
    failed = ended(status="failed", error="no route to\n host")
    assert advice.line(failed, NOW) == "failed: no route to? host"
    assert advice.line(ended(), NOW) is None

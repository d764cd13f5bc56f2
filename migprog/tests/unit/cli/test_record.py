# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.cli import advice, record, text
from migprog.cli.record import Trouble
from migprog.tests.unit.cli.records import HOSTILE, NOW, ended, stuck
from migprog.tests.unit.cli.records import record as running


@pytest.mark.parametrize(
    ("after_seconds", "shown", "with_range"),
    [
        (0, "30s", "30s (20s-1m00s)"),
        (25, "5s", "5s (0s-35s)"),
        # Past the expected end, but not past the latest one.
        (40, "<20s", "<20s"),
        (61, "late", "late"),
    ],
)
def test_time_left_counts_down_by_the_instant_of_the_end(
    after_seconds: float, shown: str, with_range: str
) -> None:
    left = record.left(running(), NOW + after_seconds)
    assert record.left_text(left) == shown
    assert record.left_text(left, with_range=True) == with_range


def test_time_left_is_blank_where_it_is_not_known() -> None:
    for each in (stuck(), ended()):
        assert record.left(each, NOW) is None
    assert record.left_text(None) == ""


def test_range_of_progress_is_that_of_the_end() -> None:
    # 60 s have passed of 80 to 120.
    assert record.progress_range(running(), NOW) == pytest.approx((50, 75))
    assert record.progress_range(stuck(), NOW) is None
    # Its report is old: it should have ended.
    assert record.progress_range(running(), NOW + 100) is None
    # The percentage never goes back, whatever the range has become.
    assert record.progress_range(running(percent=90), NOW)[1] == 90


@pytest.mark.parametrize(
    ("each", "trouble"),
    [
        (running(), Trouble.NONE),
        (running(verdict="a-word-of-next-year"), Trouble.NONE),
        (running(stale=True), Trouble.STALE),
        (stuck(stale=True), Trouble.NOT_CONVERGING),
        (stuck(verdict="stalled"), Trouble.STALLED),
        (stuck(verdict="post-copy-paused"), Trouble.POST_COPY_PAUSED),
        (running(advice=[{"action": "post-copy"}]), Trouble.ADVISED),
        (ended(), Trouble.COMPLETED),
        *((ended(status=word), Trouble.ENDED_BADLY) for word in ("failed", "cancelled", "unknown")),
    ],
)
def test_trouble_is_known_by_verdict_age_and_outcome(each: dict, trouble: Trouble) -> None:
    assert record.trouble(each) is trouble
    assert (advice.line(each, NOW) is None) == (trouble in (Trouble.NONE, Trouble.COMPLETED))


def test_stale_migration_has_its_age_for_a_verdict_and_keeps_its_message() -> None:
    old = stuck(stale=True, last_reported_at=text.instant(NOW - 192))
    assert record.verdict(old, NOW) == "stale 3m12s"
    line = advice.line(old, NOW)
    assert line.startswith("no report from a for 3m12s; before: needs a downtime")


def test_phase_has_the_number_of_the_iteration() -> None:
    assert record.phase(running()) == "memory-iterations 3"
    assert record.phase(running(), short=True) == "memory 3"
    assert record.phase(running(phase="disk-copy"), short=True) == "disk"
    assert record.phase(ended(status="cancelled")) == "cancelled"


def test_route_is_blank_for_who_may_not_see_hosts() -> None:
    assert record.route(running()) == "a → b"
    assert record.route(running(dest_compute=None)) == "a → ?"
    assert record.route(running(source_compute=None, dest_compute=None)) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_of_others_are_data(name: str) -> None:
    each = stuck(server_name=name, verdict_message=name, source_compute=name, stale=True)
    for shown in (record.name(each), record.route(each), advice.line(each, NOW)):
        assert shown.isprintable()

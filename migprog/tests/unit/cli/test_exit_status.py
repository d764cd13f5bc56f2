# SPDX-License-Identifier: Apache-2.0
import pathlib
from email.utils import formatdate

import pytest

from migprog.cli import exit_status, text
from migprog.cli.exit_status import Exit
from migprog.cli.server_clock import ServerClock
from migprog.tests.unit.cli.records import NOW, ended, record

PAGE = pathlib.Path(__file__).resolve().parents[4] / "doc/source/cli.rst"


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", 0), ("failed", 3), ("cancelled", 4), ("unknown", 5), ("of next year", 5)],
)
def test_exit_status_follows_the_outcome(status: str, code: int) -> None:
    assert exit_status.of(ended(status=status)) == code
    assert exit_status.of(record(status=status)) is None


def test_migration_that_ended_long_ago_is_not_waited_for() -> None:
    assert exit_status.is_meant(record(), NOW)
    assert exit_status.is_meant(ended(ended_at=text.instant(NOW - 59)), NOW)
    assert not exit_status.is_meant(ended(ended_at=text.instant(NOW - 61)), NOW)
    assert not exit_status.is_meant(
        ended(ended_at=None, last_reported_at=text.instant(NOW - 900)), NOW
    )


def test_every_exit_status_is_documented() -> None:
    page = PAGE.read_text()
    for each in (*Exit, 1, 2):
        assert f"\n{int(each)}  " in page


def test_clock_of_the_api_is_known_to_a_fraction_of_a_second_after_some_answers() -> None:
    """The API's clock is 100.7 s ahead; answers come every 1.13 s, and say whole seconds."""
    clock = ServerClock()
    for number in range(20):
        at = 1000 + 1.13 * number
        clock.learn(_date(at + 100.7), at - 0.02, at + 0.02)
    assert clock.ahead_seconds(0.0) == pytest.approx(100.7, abs=0.15)


def test_offset_is_measured_again_after_the_clock_was_set() -> None:
    clock = ServerClock()
    clock.learn(_date(2000), 1000, 1000.01)
    clock.learn(_date(1500), 1001, 1001.01)
    assert clock.ahead_seconds(0.0) == pytest.approx(499.5, abs=1)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Tue, 99 Foo"])
def test_clock_without_dates_is_the_callers(date: str | None) -> None:
    clock = ServerClock()
    clock.learn(date, 1, 2)
    assert clock.ahead_seconds(7.5) == 7.5


def _date(seconds: float) -> str:
    return formatdate(int(seconds), usegmt=True)

# SPDX-License-Identifier: Apache-2.0
"""The page and ``migprog watch`` say the same of a record: order, words, times, advice."""

import json
import random
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from migprog.cli import advice, fleet, record, text
from migprog.core.duration import describe
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.status import Phase, Status
from migprog.core.steering.advice import AdviceReason, State, SteeringAction
from migprog.tests.unit.ui import node

NOW = 1_700_000_000.0
_RECORDS = 400
_NAMES = (
    None,
    "",
    "web",
    "<b>&amp;</b>",
    "\u202eabc",
    "a\u0301\u0301\u0301\u0301",
    "🐎 x",
    "x" * 2100,
)
_WORDS = ("a-word-of-a-newer-version", None)
_MESSAGES = (None, "", "remaining memory no longer shrinks", "two\nlines")


def _record(chance: random.Random) -> dict[str, Any]:
    def instant(low: float, high: float) -> str:
        return text.instant(round(NOW + chance.uniform(low, high), 3))

    def perhaps(value: Any) -> Any:
        return value if chance.random() < 0.7 else None

    is_running = chance.random() < 0.8
    statuses = [Status.RUNNING, "post-migrating"] if is_running else [*Status]
    forecast = sorted(instant(-60, 4000) for _ in range(3)) if chance.random() < 0.7 else [None] * 3
    return {
        "uuid": str(uuid.UUID(int=chance.getrandbits(128))),
        "server_uuid": str(uuid.UUID(int=chance.getrandbits(128))),
        "server_name": chance.choice(_NAMES),
        "in_progress": is_running,
        "status": chance.choice(statuses),
        "stale": is_running and chance.random() < 0.2,
        "phase": chance.choice([*Phase, *_WORDS]),
        "percent": perhaps(chance.randint(0, 99)),
        "memory_iteration": perhaps(chance.randint(1, 40)),
        "verdict": chance.choice([*Verdict, *_WORDS]),
        "verdict_reason": chance.choice([*VerdictReason, *_WORDS]),
        "verdict_message": chance.choice(_MESSAGES),
        "error": perhaps("no route to host"),
        "ends_at_earliest": perhaps(forecast[0]),
        "ends_at": forecast[1],
        "ends_at_latest": perhaps(forecast[2]),
        "started_at": instant(-5000, -1),
        "last_reported_at": instant(-300, 0),
        "source_compute": perhaps("compute-1"),
        "dest_compute": perhaps("compute-2"),
        "throughput_bytes_per_second": perhaps(chance.randint(0, 10**9)),
        "downtime_needed_seconds": perhaps(chance.randint(1, 9999) / 1000),
        "downtime_limit_seconds": perhaps(chance.randint(1, 999) / 1000),
        "bandwidth_needed_bytes_per_second": perhaps(chance.randint(10**6, 10**10)),
        "advice": perhaps([_advice(chance) for _ in range(chance.randint(0, 3))]),
    }


def _advice(chance: random.Random) -> dict[str, Any]:
    return {
        "at": text.instant(round(NOW - chance.uniform(0, 100), 3)),
        "works_by": text.instant(round(NOW + chance.uniform(-50, 100), 3)),
        "action": chance.choice([*SteeringAction]),
        "reason": chance.choice([*AdviceReason]),
        "state": chance.choice([*State, None]),
        "message": chance.choice(("raise the limit", None)),
        "figures": chance.choice(
            ({}, {"downtime_limit_seconds": 0.4}, {"left_seconds": chance.uniform(0, 3000)})
        ),
    }


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    # The same records each time: a difference must not come and go.
    chance = random.Random(17)
    numbers = [0, 59.4, 60, 3599.6, 3600, 86_399, 86_400, 9e6, 1e9, -5, 999, 1000, 1023, 2**20]
    return {
        "now": NOW,
        "records": [_record(chance) for _ in range(_RECORDS)],
        "numbers": [*numbers, *(round(10 ** chance.uniform(-1, 12), 3) for _ in range(200))],
        "texts": [
            "\x1b[31mred",
            "two\r\nlines",
            "\ud83d",
            "a\u00a0b",
            "ok ✓",
            *filter(None, _NAMES),
        ],
        "instants": [NOW, NOW - 86_399, NOW + 86_400, NOW - 90_000, NOW + 4e6, NOW + 0.999],
    }


@pytest.fixture(scope="module")
def said(given: dict[str, Any]) -> dict[str, Any]:
    """What the page says of what is given."""
    found: dict[str, Any] = json.loads(node.run("say.mjs", given=json.dumps(given)))
    return found


def test_durations_sizes_texts_and_clock_times(given: dict[str, Any], said: dict[str, Any]) -> None:
    now = datetime.fromtimestamp(NOW, UTC)
    assert said["durations"] == [text.duration(each) for each in given["numbers"]]
    assert said["times"] == [describe(each) for each in given["numbers"]]
    assert said["sizes"] == [text.size(abs(each)) for each in given["numbers"]]
    assert said["texts"] == [text.printable(each) for each in given["texts"]]
    assert said["clocks"] == [
        text.clock(datetime.fromtimestamp(each, UTC), now, UTC) for each in given["instants"]
    ]


def test_order_and_totals(given: dict[str, Any], said: dict[str, Any]) -> None:
    shown = fleet.Fleet.of(given["records"])
    assert said["order"] == [each["uuid"] for each in shown.records]
    found = shown.totals
    assert said["totals"] == [
        *(found.in_progress, found.ended, found.stale, found.in_trouble),
        *(found.sent_bytes_per_second, found.last_ends_at),
    ]


def test_what_is_said_of_each_record(given: dict[str, Any], said: dict[str, Any]) -> None:
    advised = 0
    for each, shown in zip(given["records"], said["records"], strict=True):
        left = record.left(each, NOW)
        bar = record.progress_range(each, NOW)
        assert shown.pop("range") == (bar and pytest.approx(bar)), each
        assert shown == {
            "trouble": record.trouble(each),
            "name": record.name(each),
            "route": record.route(each),
            "left": record.left_text(left),
            "left_range": record.left_text(left, with_range=True),
            "phase": record.phase(each),
            "verdict": record.verdict(each, NOW) if each["in_progress"] else None,
            "advice": advice.line(each, NOW),
        }, each
        advised += shown["advice"] is not None
    assert advised > _RECORDS / 4

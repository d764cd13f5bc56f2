# SPDX-License-Identifier: Apache-2.0
"""What is struck when, and what is said of it."""

import collections
import random

from lab.faults import kinds, run, table, traffic
from lab.faults.ground_truth import Ending
from lab.faults.judge import Finding, Wrong
from lab.faults.run import Result, Round
from migprog.tests.unit.faults.test_judge import CANCELLED, TRUTH

EVERY = kinds.every(60.0)


def test_plan_has_each_kind_equally_often_except_long_ones():
    one = run.deck(len(EVERY), random.Random(1), EVERY)
    assert sorted(kind.name for kind in one) == sorted(kind.name for kind in EVERY)
    many = collections.Counter(kind.name for kind in run.deck(200, random.Random(1), EVERY))
    assert many.total() == 200
    assert many.pop("RabbitMQ stopped") == 5
    assert len(many) == len(EVERY) - 1
    least = 195 // len(many)
    assert set(many.values()) <= {least, least + 1}
    only = [kind for kind in EVERY if kind.takes_long]
    assert run.deck(3, random.Random(1), only) == only * 3


def test_same_seed_has_the_same_faults():
    def drawn(seed):
        rng = random.Random(seed)
        return run.deck(20, rng, EVERY), traffic.plan(rng, guests=5, at_once=3, within_seconds=1.0)

    assert drawn(7) == drawn(7) != drawn(8)


def test_different_guests_migrate_and_all_endings_come():
    rng = random.Random(1)
    plans = [traffic.plan(rng, guests=5, at_once=3, within_seconds=2.0) for _ in range(50)]
    for each in plans:
        assert len({plan.guest for plan in each}) == 3
        assert all(0 <= plan.begins_after_seconds <= 2 for plan in each)
    assert {plan.ending for each in plans for plan in each} == set(Ending)


def test_document_has_counts_of_each_kind_of_fault_and_of_all():
    agent, api = (kind for kind in EVERY if kind.name in ("agent killed", "API killed"))
    findings = (Finding(Wrong.WRONG, "s: why"), Finding(Wrong.PERCENT_BACK, "m: 7 %, then 6 %"))
    rounds = [
        Round(agent, 1.0, (TRUTH, CANCELLED), (), 5.0),
        Round(agent, 1.0, (TRUTH,), findings, 5.0),
        Round(api, 1.0, (TRUTH,), (), 5.0),
    ]
    known = table.document(Result(rounds, [5.0, 5.1, 5.2], [5.0]))
    assert (known["faults"], known["migrations"], known["right"]) == (3, 4, False)
    assert [known[wrong] for wrong in Wrong] == [0, 0, 1, 1, 0]
    assert known["slowdown_ratio"] == 5.1 / 5.0
    assert known["groups"]["agent killed"]["wrong"] == 1
    assert known["groups"]["API killed"] == {
        "faults": 1,
        "migrations": 1,
        **dict.fromkeys(("lost", "duplicated", "wrong", "percent_back"), 0),
        "api_5xx_beyond_outage": 0,
    }
    assert [each["group"] for each in known["findings"]] == ["agent killed"] * 2
    assert table.document(Result(rounds[2:]))["right"]
    lines = table.text(known).splitlines()
    assert lines[4].split() == ["agent", "killed", "2", "3", "0", "0", "1", "1", "0"]
    assert lines[5].split() == ["all", "3", "4", "0", "0", "1", "1", "0"]
    assert "WRONG: s: why" in run.line(rounds[1])
    assert "1 completed, 1 cancelled: right" in run.line(rounds[0])

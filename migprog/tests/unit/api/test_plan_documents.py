# SPDX-License-Identifier: Apache-2.0
"""The document of a plan whose end is not known: whatever the numbers, it is JSON."""

import json
from datetime import UTC, datetime

import jsonschema
import pytest

from migprog.api import plan_schemas, views
from migprog.api.plan_documents import Shown, document
from migprog.api.plan_making import Asked, Made
from migprog.core.drain_course import Standing
from migprog.core.drain_plan import plan_drain, renew
from migprog.tests import answers
from migprog.tests.unit.core.test_drain_plan import RATE, candidate

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
STUCK, FINE = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("known_now", [False, True])
def test_times_that_never_come_are_null(begun: bool, known_now: bool) -> None:
    stuck = candidate(STUCK, 8, 2000, converges="unknown")
    fine = candidate(FINE, 8, 1)
    plan = plan_drain([stuck, fine], RATE)
    assert plan.end_seconds == float("inf")
    standing = Standing(NOW.timestamp() - 5) if begun else None
    there = [fine] if known_now else [stuck, fine]
    renewed = renew(plan, there, RATE, begun_seconds=5.0, done={}, running={})
    befores = {each.server_uuid: each.before for each in (stuck, fine)}
    made = Made(
        plan=plan,
        present=renewed.plan if begun else plan,
        standing=standing,
        late_seconds=renewed.late_seconds if begun else None,
        rate=RATE,
        befores=befores,
        unmeasured=(),
        arrived=(),
        gone=frozenset(),
    )
    shown = Shown(host="h", made_at=NOW, now=NOW, servers={}, unknown_servers=0, link="/self")
    found = document(made, Asked(deadline=NOW), shown)
    assert found["late_seconds"] is found["gain_percent"] is None
    if not begun or not known_now:
        assert found["total_seconds"] is found["ends_at"] is None
        assert found["in_time"] == "unknown"
    text = json.dumps(found, allow_nan=False)
    schema = plan_schemas.ANSWER["properties"]["drain_plan"]
    whole = {**schema, "components": answers.document()["components"]}
    jsonschema.validate(json.loads(text), whole)
    assert views.instant(NOW) == found["made_at"]

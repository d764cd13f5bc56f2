# SPDX-License-Identifier: Apache-2.0
"""A plan of whatever agents may report is a document, and takes no unbounded time."""

import itertools
import time
import uuid
from typing import Any

import pytest
from falcon import testing

from migprog import objects
from migprog.core import fields
from migprog.core.drain_order import ServerToMove
from migprog.core.drain_plan import plan_drain
from migprog.core.forecast.before import forecast_before
from migprog.core.learned import Completed, learn
from migprog.core.measurement import Measurement, Window
from migprog.core.messages import Batch
from migprog.core.status import Phase, Status
from migprog.tests.store_cases.measuring import measured
from migprog.tests.unit.api.conftest import Fill

HEADERS = {"OpenStack-API-Version": "migration-progress latest"}
_WINDOWS = [
    ((60.0, 2**31 - 1),),
    ((0.001, 2**31 - 1), (60.0, 0)),
    ((0.001, 0),),
    ((60.0, 0),) * 8,
    ((1.0, 2**31 - 1), (1.0, 0), (4.0, 7)),
]
_SIZES: list[tuple[int, int | None, int | None]] = [
    (1, 0, None),
    (fields.MAX_COUNT, None, fields.MAX_COUNT),
    (fields.MAX_COUNT, fields.MAX_COUNT, 0),
    (2**30, fields.MAX_COUNT, 0),
]
_LIMITS = [None, 0.0, 1e-9, fields.MAX_INSTANT]


@pytest.mark.parametrize("rate", [None, 1, fields.MAX_COUNT])
def test_plan_of_extreme_measurements_is_a_document(
    client: testing.TestClient, store: objects.Store, fill: Fill, rate: int | None
) -> None:
    now = time.time()
    if rate is not None:
        for number in range(2):
            fill(
                server_uuid=str(uuid.UUID(int=900 + number)),
                status=Status.COMPLETED,
                phase=Phase.DONE,
                sequence=9,
                started_at=now - 9000,
                sampled_at=now - 8000,
                ended_at=now - 8000,
                last_reported_at=now,
                total_seconds=1000.0,
                memory_processed_bytes=fields.MAX_COUNT,
                throughput_bytes_per_second=rate,
            )
    made: list[Any] = []
    cases = zip(itertools.product(_WINDOWS, _SIZES), itertools.cycle(_LIMITS), strict=False)
    for number, ((windows, (memory, resident, disk)), limit) in enumerate(cases, 1):
        made.append(
            measured(
                str(uuid.UUID(int=number)),
                now - 60,
                windows=windows,
                memory_bytes=memory,
                resident_bytes=resident,
                disk_bytes=disk,
                downtime_limit_seconds=limit,
            )
        )
    objects.store_batch(store, Batch(host="source", node="s", measurements=tuple(made)), now)
    for query in ("", "block_migration=true", "auto_converge=true&at_once=32"):
        answer = client.simulate_get(f"/hosts/source/drain-plan?{query}", headers=HEADERS)
        assert answer.status_code == 200, answer.text
        found = answer.json["drain_plan"]
        assert len(found["moves"]) + len(found["stays"]) == len(made)


@pytest.mark.timeout(60)
def test_plan_is_made_though_an_iteration_does_not_count_beside_an_astronomic_time() -> None:
    """Such times, which wrong figures give, are too long for seconds to be added to them."""
    completed = [Completed("a", "b", -9.0, 1.0, 1000.0, 999.0)] * 2
    learned = learn(completed, "a", "b", 60.0)
    candidates = []
    for number, (windows, size, limit) in enumerate(itertools.product(_WINDOWS, _SIZES, _LIMITS)):
        memory, resident, disk = size
        taken = Measurement(
            *(0.0, tuple(Window(*each) for each in windows)),
            *(memory, resident, disk, limit, False),
        )
        before = forecast_before(
            taken, learned, block_migration=False, now=60.0, auto_converge=True
        )
        candidates.append(ServerToMove(str(number), memory, before))
    plan = plan_drain(candidates, learned.rate)
    assert len(plan.moves) + len(plan.stays) == len(candidates)

# SPDX-License-Identifier: Apache-2.0
"""Which reading answers the one that was requested, and since when a call hangs."""

import pytest

from migprog.compute import watched_migration
from migprog.core.observation import Reading
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.fixtures.watching import MIGRATION_OUT, SETTINGS, Agent

ACTIVE = {"type": 2, "operation": MIGRATION_OUT, "time_elapsed": 2000}


@pytest.fixture
def agent():
    """With a migration whose reading was requested."""
    agent = Agent()
    agent.reads(MIGRATION_OUT)
    agent.wait(SETTINGS.poll_interval_seconds)
    assert agent.samplers[-1].asked_at is not None
    return agent


@pytest.mark.parametrize(("began_later", "answers"), [(0.0, True), (-0.1, False), (None, False)])
@pytest.mark.parametrize("outcome", [{"stats": ACTIVE}, {"error": "?"}])
def test_only_a_reading_that_began_since_is_the_requested_one(agent, began_later, answers, outcome):
    asked_at = agent.samplers[-1].asked_at
    began_at = None if began_later is None else asked_at + began_later
    agent.watches.take(Reading(server_uuid=SERVER, at=agent.now, began_at=began_at, **outcome))
    assert agent.samplers[-1].asked_at == (None if answers else asked_at)


def test_hang_behind_another_call_is_logged_in_time_with_its_own_duration(agent, caplog):
    asked_at = agent.samplers[-1].asked_at
    agent.wait(8.0)
    # An iteration's reading, which was in progress as the one that hangs was requested.
    agent.sees(Reading(server_uuid=SERVER, at=agent.now, began_at=asked_at - 1.0, stats=ACTIVE))
    agent.wait(SETTINGS.libvirt_timeout_seconds - 0.2)
    assert logged(caplog) == []
    agent.wait(0.2)
    (line,) = logged(caplog)
    assert line.startswith(f"server {SERVER}: libvirt has not answered for 10 s")


def logged(caplog):
    return [each.message for each in caplog.records if each.name == watched_migration.__name__]

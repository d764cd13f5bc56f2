# SPDX-License-Identifier: Apache-2.0
"""The agents that a conductor shows Prometheus: those of the database, as long as it answers."""

import dataclasses
import time

import pytest

from lab.parts.processes import wait_for
from migprog.conductor import agent_states as conductor_states
from migprog.conductor.agent_states import AgentStates
from migprog.metrics import REGISTRY, agent_states
from migprog.metrics.agent_states import AGENTS, AgentState, States
from migprog.objects import Unavailable
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT, tell

_SECONDS = 60


@pytest.fixture
def store(tmp_path):
    store = stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite")
    yield store
    store.close()


class Store:
    """Reads the agents of a real store, unless it is away or broken."""

    def __init__(self, store):
        self._store, self.error = store, None

    def read(self, work):
        if self.error is not None:
            raise self.error
        return self._store.read(work)


@pytest.fixture
def shown(store):
    """Shows the agents of ``store``; gives the store that it reads by."""
    database = Store(store)
    states = AgentStates(database, interval_seconds=0.01)
    states.start()
    yield database
    states.stop()
    assert AGENTS.states is None


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def wait_for_value(expected, name, **labels):
    wait_for(lambda: value(name, **labels) == expected, _SECONDS, f"{name} {labels} {expected}")


def test_agent_is_silent_two_heartbeats_after_its_last_report(store, shown):
    now = time.time()
    late = now - 2 * AGENT.heartbeat_interval_seconds - 5
    tell(store, "alive", AGENT, now)
    tell(store, "silent", AGENT, late)
    wait_for_value(1, "migprog_agents", state="silent")
    assert value("migprog_agents", state="up") == 1
    assert value("migprog_agent_silent", host="alive") == 0
    assert value("migprog_agent_silent", host="silent") == 1
    reported = value("migprog_agent_last_report_timestamp_seconds", host="silent")
    assert reported == pytest.approx(late, abs=1e-5)


def test_agent_whose_loop_hangs_is_silent(store, shown):
    tell(store, "hangs", dataclasses.replace(AGENT, loop_age_seconds=50.0), time.time())
    wait_for_value(1, "migprog_agent_silent", host="hangs")
    tell(store, "hangs", dataclasses.replace(AGENT, loop_age_seconds=0.5), time.time())
    wait_for_value(0, "migprog_agent_silent", host="hangs")


@pytest.mark.parametrize("error", [Unavailable("away"), ZeroDivisionError("nobody foresaw it")])
def test_database_that_is_away_says_nothing_of_any_agent(store, shown, error):
    tell(store, "alive", AGENT, time.time())
    wait_for_value(1, "migprog_agents", state="up")
    shown.error = error
    wait_for_value(None, "migprog_agents", state="up")
    assert value("migprog_agent_silent", host="alive") is None
    shown.error = None
    wait_for_value(1, "migprog_agents", state="up")


@pytest.mark.parametrize(("most", "expected"), [(3, [0, 1, 1]), (2, [None, 1, 1])])
def test_beyond_the_limit_only_silent_hosts_have_series_and_all_are_counted(
    store, monkeypatch, most, expected
):
    monkeypatch.setattr(conductor_states, "MOST_HOSTS", most)
    hanging = dataclasses.replace(AGENT, loop_age_seconds=50.0)
    tell(store, "alive", AGENT, time.time())
    tell(store, "hangs", hanging, time.time())
    tell(store, "silent", AGENT, time.time() - 2 * AGENT.heartbeat_interval_seconds - 5)
    monkeypatch.setattr(AGENTS, "states", AgentStates(store)._read())
    hosts = ("alive", "hangs", "silent")
    assert [value("migprog_agent_silent", host=host) for host in hosts] == expected
    assert value("migprog_agents", state="silent") == 2
    assert value("migprog_agents", state="up") == 1


def test_agent_of_a_longer_heartbeat_is_no_more_silent_among_many(store, monkeypatch):
    monkeypatch.setattr(conductor_states, "MOST_HOSTS", 1)
    slow = dataclasses.replace(
        AGENT, heartbeat_interval_seconds=10 * AGENT.heartbeat_interval_seconds
    )
    for host, agent in (("usual", AGENT), ("slow", slow)):
        tell(store, host, agent, time.time() - 3 * AGENT.heartbeat_interval_seconds)
    found = AgentStates(store)._read()
    assert ([each.host for each in found.hosts], found.count) == (["usual"], 2)


def test_number_of_hosts_with_series_is_limited(monkeypatch):
    monkeypatch.setattr(agent_states, "MOST_HOSTS", 2)
    hosts = [AgentState(str(n), True, 1.0) for n in range(3)]
    monkeypatch.setattr(AGENTS, "states", States(3, 3, hosts))
    assert value("migprog_agents", state="silent") == 3
    assert [value("migprog_agent_silent", host=str(n)) for n in range(3)] == [1, 1, None]

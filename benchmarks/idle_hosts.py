# SPDX-License-Identifier: Apache-2.0
"""What many idle hosts cost conductors, API and database: heartbeats, lists, metrics, purge.

    .venv/bin/python benchmarks/idle_hosts.py [--database mariadb|postgresql] [--count 10000]

Milliseconds are processor time of this process, which is conductor and API at once; the database's
are not in them. The database is a private server, started for this and gone after it.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import api_client
import no_eventlet  # noqa: F401
from falcon import testing

from lab.parts import databases
from migprog import objects
from migprog.conductor.agent_states import AgentStates
from migprog.core.messages import Agent, Batch
from migprog.metrics import application
from migprog.metrics.agent_states import AGENTS, MOST_HOSTS
from migprog.objects import ReceivedBatch
from migprog.tests import stores

_TOGETHER = (1, 10, 100, 500)
_REPEATS = 5
_AGENT = Agent(
    version="1.0.0",
    started_at=1_700_000_000.0,
    report_interval_seconds=20.0,
    heartbeat_interval_seconds=30.0,
    migrations=0,
    servers=24,
    servers_memory_bytes=192 * 2**30,
    actions_enabled=True,
    measurements_enabled=False,
    key="ab" * 32,
    loop_age_seconds=1.5,
)
# 1 % of a core: a conductor that serves metrics reads the agents each 15 s.
_GOAL_STATES_MS = 150.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=[*databases.RUN], default="mariadb")
    parser.add_argument("--count", type=int, default=10_000, help="agents")
    options = parser.parse_args(arguments)
    with databases.RUN[options.database]() as server:
        store = stores.ready(server.new_database())
        print(f"{options.database}, {options.count} agents; ms of processor time")
        _heartbeats(store, options.count)
        met = _states(store)
        _lists(api_client.of(store))
        _purge(store)
        store.close()
    verdict = "met" if met else "NOT met"
    print(f"reading agents for metrics, at most {_GOAL_STATES_MS:.0f} ms: {verdict}")
    return 0 if met else 1


def _batch(number: int) -> ReceivedBatch:
    name = f"compute-{number:05d}.example.org"
    return ReceivedBatch(Batch(host=name, node=name, agent=_AGENT), time.time())


def _heartbeats(store: objects.Store, count: int) -> None:
    """Print the cost of a heartbeat by how many are stored together; leave ``count`` agents."""
    for start in range(0, count, _TOGETHER[-1]):
        some = range(start, min(count, start + _TOGETHER[-1]))
        objects.store_batches(store, [_batch(number) for number in some])
    for together in (each for each in _TOGETHER if each <= count):
        begun = time.process_time()
        transactions = max(1, min(count, 2000) // together)
        for number in range(transactions):
            objects.store_batches(
                store, [_batch((number + each) % count) for each in range(together)]
            )
        spent_ms = 1000 * (time.process_time() - begun) / (transactions * together)
        print(f"a heartbeat, {together:3} together {spent_ms:12.3f}")


def _states(store: objects.Store) -> bool:
    """Print what a conductor takes for its metrics; return whether that meets the goal."""
    states = AgentStates(store)
    read_ms, AGENTS.states = _ms(states._read), states._read()
    print(f"agents read for metrics {read_ms:14.1f}")
    environ = testing.create_environ("/metrics")
    answered: list[bytes] = []

    def scrape() -> None:
        answered[:] = application(environ, lambda *_: None)

    print(f"/metrics {_ms(scrape):29.1f}  {sum(map(len, answered))} bytes; limit {MOST_HOSTS}")
    AGENTS.states = None
    every_ms = _ms(lambda: list(objects.Agent.every(store)))
    print(f"whole rows of all {every_ms:20.1f}")
    return read_ms <= _GOAL_STATES_MS


def _lists(client: testing.TestClient) -> None:
    for address in ("/agents?limit=100", "/agents", "/migrations?in_progress=true"):
        ask = functools.partial(client.simulate_get, address, remote_addr="127.0.0.1")
        answer = ask()
        assert answer.status_code == 200, answer.text
        spent_ms = _ms(ask)
        print(f"GET {address:29} {spent_ms:4.1f}  {len(answer.content)} bytes")


def _purge(store: objects.Store) -> None:
    now = datetime.now(UTC)
    before = now + timedelta(minutes=1)
    begun = time.process_time()
    purged = objects.purge(store, before, now=now)
    spent_ms = 1000 * (time.process_time() - begun)
    print(f"purge of {purged.agents} agents {spent_ms:16.1f}")


def _ms(work: Callable[[], object]) -> float:
    """Return the least processor time of some runs: others use the machine, too."""
    spent = []
    for _ in range(_REPEATS):
        begun = time.process_time()
        work()
        spent.append(1000 * (time.process_time() - begun))
    return min(spent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

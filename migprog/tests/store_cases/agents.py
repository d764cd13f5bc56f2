# SPDX-License-Identifier: Apache-2.0
"""What agents tell of themselves."""

import dataclasses

from migprog import objects
from migprog.core.report import Agent, Batch
from migprog.tests.stores import START, at, migration, report

AGENT = Agent(
    version="v" * 32,
    started_at=START,
    interval_seconds=5.0,
    heartbeat_seconds=30.0,
    migrations=1,
    servers=2**31 - 1,
    servers_memory_bytes=2**63 - 1,
    takes_actions=True,
)


def tell(store, host, agent, heard_at, *reports):
    objects.store_batch(
        store, Batch(host=host, node="node", reports=reports, agent=agent), heard_at
    )


def known(store, host):
    return next((a for a in objects.Agent.list(store) if a.host == host), None)


class Living:
    def test_what_it_told_last(self, store):
        host = "ünï 🐎'; --"
        tell(store, host, AGENT, START + 1)
        assert dataclasses.asdict(known(store, host)) == dataclasses.asdict(AGENT) | {
            "host": host,
            "node": "node",
            "started_at": at(START),
            "heard_at": at(START + 1),
        }
        less = dataclasses.replace(
            AGENT, migrations=0, servers=None, servers_memory_bytes=None, takes_actions=None
        )
        tell(store, host, less, START + 2)
        after = known(store, host)
        assert (after.migrations, after.servers, after.heard_at) == (0, None, at(START + 2))
        assert after.takes_actions is None

    def test_with_its_reports(self, store):
        told = report()
        tell(store, "with-reports", AGENT, START + 1, told)
        assert known(store, "with-reports").heard_at == migration(store, told).heard_at

    def test_a_message_without_says_nothing_of_it(self, store):
        tell(store, "silent", None, START + 1, report())
        assert known(store, "silent") is None

    def test_many_of_them_in_the_order_of_their_hosts(self, store):
        heard = [
            objects.Heard(Batch(host=f"order-{n:02}", node="n", agent=AGENT), START + n)
            for n in (3, 1, 2, 1)
        ]
        objects.store_batches(store, heard)
        hosts = [agent.host for agent in objects.Agent.list(store, marker="order-", limit=3)]
        assert hosts == ["order-01", "order-02", "order-03"]

# SPDX-License-Identifier: Apache-2.0
"""What agents report of themselves."""

import dataclasses

from migprog import objects
from migprog.core.messages import Agent, Batch
from migprog.tests.stores import START, at, migration, report

AGENT = Agent(
    version="v" * 32,
    started_at=START,
    report_interval_seconds=5.0,
    heartbeat_interval_seconds=30.0,
    migrations=1,
    servers=2**31 - 1,
    servers_memory_bytes=2**63 - 1,
    actions_enabled=True,
    measurements_enabled=False,
)


def tell(store, host, agent, last_reported_at, *reports):
    objects.store_batch(
        store, Batch(host=host, node="node", reports=reports, agent=agent), last_reported_at
    )


def known(store, host):
    return next((a for a in objects.Agent.list(store) if a.host == host), None)


class Living:
    def test_agent_row_has_the_last_heartbeat(self, store):
        host = "ünï 🐎'; --"
        tell(store, host, AGENT, START + 1)
        told = {name: value for name, value in dataclasses.asdict(AGENT).items() if name != "key"}
        assert dataclasses.asdict(known(store, host)) == told | {
            "host": host,
            "node": "node",
            "started_at": at(START),
            "last_reported_at": at(START + 1),
        }
        less = dataclasses.replace(
            AGENT, migrations=0, servers=None, servers_memory_bytes=None, actions_enabled=None
        )
        tell(store, host, less, START + 2)
        after = known(store, host)
        assert (after.migrations, after.servers, after.last_reported_at) == (0, None, at(START + 2))
        assert after.actions_enabled is None

    def test_with_its_reports(self, store):
        told = report()
        tell(store, "with-reports", AGENT, START + 1, told)
        assert (
            known(store, "with-reports").last_reported_at == migration(store, told).last_reported_at
        )

    def test_message_without_an_agent_changes_no_agent(self, store):
        tell(store, "silent", None, START + 1, report())
        assert known(store, "silent") is None

    def test_many_of_them_in_the_order_of_their_hosts(self, store):
        heard = [
            objects.ReceivedBatch(Batch(host=f"order-{n:02}", node="n", agent=AGENT), START + n)
            for n in (3, 1, 2, 1)
        ]
        objects.store_batches(store, heard)
        hosts = [agent.host for agent in objects.Agent.list(store, marker="order-", limit=3)]
        assert hosts == ["order-01", "order-02", "order-03"]


class Impersonated:
    """A host's row is its own agent's as long as that sends heartbeats."""

    def _refusals(self, store, host, last_reported_at, **told):
        agent = dataclasses.replace(AGENT, **told)
        stored = objects.store_batch(
            store, Batch(host=host, node="node", agent=agent), last_reported_at
        )
        return [each.reason for each in stored.refused]

    def test_another_agent_changes_nothing_while_the_hosts_own_sends_heartbeats(self, store):
        assert not self._refusals(store, "owned", START, key="mine", version="1")
        before = known(store, "owned")
        for key in ("another", "", None):
            refused = self._refusals(
                store,
                "owned",
                START + 50,
                key=key,
                version="6.6.6",
                heartbeat_interval_seconds=3600.0,
            )
            assert refused == ["agent"]
        assert known(store, "owned") == before
        assert not self._refusals(store, "owned", START + 59, key="mine", version="2")
        assert known(store, "owned").version == "2"

    def test_in_one_transaction_too(self, store):
        batches = [
            Batch("at-once", "node", agent=dataclasses.replace(AGENT, key=key, version=key))
            for key in ("mine", "another")
        ]
        stored = objects.store_batches(
            store, [objects.ReceivedBatch(each, START) for each in batches]
        )
        assert [len(each.refused) for each in stored] == [0, 1]
        assert known(store, "at-once").version == "mine"

    def test_agent_that_has_lost_its_key_is_accepted_once_the_row_is_silent(self, store):
        assert not self._refusals(store, "lost", START, key="before")
        assert self._refusals(store, "lost", START + 60, key="after") == ["agent"]
        assert not self._refusals(store, "lost", START + 61, key="after")
        assert self._refusals(store, "lost", START + 62, key="before") == ["agent"]

    def test_agent_of_an_earlier_version_has_no_key_until_it_is_upgraded(self, store):
        assert not self._refusals(store, "older", START)
        assert not self._refusals(store, "older", START + 1, version="2")
        assert not self._refusals(store, "older", START + 2, key="mine")
        assert self._refusals(store, "older", START + 3) == ["agent"]

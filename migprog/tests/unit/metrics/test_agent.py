# SPDX-License-Identifier: Apache-2.0
"""What an agent shows of its migrations and of the reports that wait."""

from migprog.core.forecast.verdict import Verdict
from migprog.metrics import REGISTRY, agent


def migrations(node):
    """The gauge of a node, by verdict."""
    return {
        sample.labels["verdict"]: sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "migprog_migrations" and sample.labels["node"] == node
    }


def test_migrations_have_a_series_for_each_verdict_of_one_in_progress():
    agent.migrations("node-7", {Verdict.STALLED: 2, Verdict.CONVERGING: 1})
    in_progress = {verdict.value for verdict in Verdict} - {"ended"}
    assert migrations("node-7") == dict.fromkeys(in_progress, 0) | {"stalled": 2, "converging": 1}
    agent.migrations("node-7", {Verdict.CONVERGING: 1})
    assert migrations("node-7")["stalled"] == 0


def test_age_of_the_oldest_report_is_computed_at_each_scrape():
    ages = iter((3.0, 4.5))
    agent.oldest_report("test:///ages", lambda: next(ages))
    name, labels = (
        "migprog_oldest_unacknowledged_report_age_seconds",
        {"connection_uri": "test:///ages"},
    )
    try:
        assert [REGISTRY.get_sample_value(name, labels) for _ in range(2)] == [3.0, 4.5]
    finally:
        agent._OLDEST_REPORT.remove("test:///ages")

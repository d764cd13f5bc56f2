# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus reads agents, conductor and API while a real migration goes on.

It has the rules that migprog ships, and every query of the dashboard is asked of it.
"""

import datetime
import json
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests
import yaml

from lab.hosts import Guest, Lab
from lab.parts import processes, prometheus
from lab.parts.deployment import Deployment
from migprog.metrics.per_migration import VERDICT_CODES
from migprog.tests.functional.test_metrics import promtool

pytestmark = pytest.mark.functional

ROOT = pathlib.Path(__file__).resolve().parents[3]
DASHBOARD = json.loads((ROOT / "etc/grafana/dashboards/migprog.json").read_text())
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]
# A guest that iterates, and converges: some 15 seconds.
GUEST = Guest(name="scraped", memory_mib=32, fill_mib=8, working_set_mib=6, segments=((1000, 0.4),))
BANDWIDTH_MIB_S = 1
POLL_SECONDS = 0.5
# How long after a sample its percentage must have been read.
READ_SECONDS = POLL_SECONDS + 2 * prometheus.SCRAPE_SECONDS


class Scraped(NamedTuple):
    """What was seen of one migration. ``alike`` are the percentages that the API gave, and which
    Prometheus has from the same sample; ``text`` is an agent's page while the migration went on."""

    prometheus: prometheus.Prometheus
    began: float
    record: dict[str, Any]
    alike: set[int]
    text: str


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, rabbitmq: str, lab: Lab) -> Iterator[Scraped]:
    directory = tmp_path_factory.mktemp("scraped")
    api, *ports = processes.free_ports(1 + len(lab.hosts))
    database = f"sqlite:///{directory / 'migprog.sqlite'}"
    began = time.time()
    with Deployment(
        directory, rabbitmq, database, "threading", metrics_bind_port=api
    ) as deployment:
        for host, port in zip(lab.hosts, ports, strict=True):
            deployment.agent(
                host,
                report_interval=POLL_SECONDS,
                poll_interval=POLL_SECONDS,
                per_migration_metrics=True,
                metrics_bind_port=port,
            )
        targets = {
            "migprog-compute": ports,
            "migprog-conductor": [deployment.metrics_port],
            "migprog-api": [api],
        }
        with prometheus.scraping(directory, targets) as asked:
            yield _migrate(deployment, lab, asked, began, ports[0])


def _migrate(
    deployment: Deployment, lab: Lab, asked: prometheus.Prometheus, began: float, port: int
) -> Scraped:
    """Migrate a guest, and compare what both say of it on its way."""
    processes.wait_for(lambda: len(asked.now("up == 1")) == 4, 60, "all targets to be read")
    server = lab.start_guest(lab.hosts[0], GUEST)
    migration = lab.migrate(server, lab.hosts[0], lab.hosts[1], bandwidth_mib_s=BANDWIDTH_MIB_S)
    series = f'migprog_migration_progress_ratio{{server_uuid="{server.uuid}"}}'
    alike: set[int] = set()

    def compare() -> bool:
        """Compare once; return whether the migration is over."""
        record = next(iter(deployment.migrations(server.uuid)), None)
        if record is not None and record["percent"] and record["in_progress"]:
            sampled_at = datetime.datetime.fromisoformat(record["sampled_at"]).timestamp()
            read = asked.samples(series, sampled_at + READ_SECONDS, READ_SECONDS)
            if record["percent"] in {round(100 * each) for each in read}:
                alike.add(record["percent"])
        return not migration.running

    processes.wait_for(lambda: alike or compare(), 60, "a percentage that both have")
    text = requests.get(f"http://{processes.LOOPBACK}:{port}/metrics", timeout=10).text
    processes.wait_for(compare, 180, "the migration to end")
    assert migration.wait(timeout=60).completed
    record = deployment.wait_for_end(server.uuid)
    ended = 'migprog_migrations_ended_total{status="completed"} == 1'
    processes.wait_for(lambda: asked.now(ended), 30, "the end to be read")
    processes.wait_for(lambda: not asked.now(series), 30, "the series to end")
    lab.destroy_guest(server)
    return Scraped(asked, began, record, alike, text)


def test_query_gives_the_percent_that_the_api_gives(scraped: Scraped) -> None:
    assert len(scraped.alike) >= 5


def test_last_values_of_a_migration_are_read_before_its_series_end(scraped: Scraped) -> None:
    labels = {
        "node": scraped.record["source_node"],
        "server_uuid": scraped.record["server_uuid"],
        "migration_uuid": scraped.record["uuid"],
    }

    def last(name: str) -> tuple[Any, Any]:
        query = f"migprog_migration_{name}"
        (series,) = (
            (found, values[-1][1])
            for found, values in scraped.prometheus.between(
                query, scraped.began, time.time(), prometheus.SCRAPE_SECONDS
            )
            if found.get("verdict", "ended") == "ended"
        )
        return {name: series[0][name] for name in labels}, series[1]

    assert last("progress_ratio") == (labels, 1.0)
    assert last("verdict") == (labels, float(max(VERDICT_CODES.values())))
    assert last("memory_remaining_bytes") == (labels, 0.0)
    assert last("elapsed_seconds") == (labels, pytest.approx(scraped.record["total_seconds"]))


def test_series_of_a_migration_follow_the_conventions(scraped: Scraped) -> None:
    assert f'server_uuid="{scraped.record["server_uuid"]}"' in scraped.text
    assert promtool(scraped.text) == ""


def _filled_in(text: str) -> str:
    """A query as Grafana asks it with all hosts and servers chosen."""
    for name, value in (("$__rate_interval", "5s"), ("$__range", "5m")):
        text = text.replace(name, value)
    for name in ("node", "server"):
        text = text.replace(f"${name}", VARIABLES[name]["allValue"])
    assert "$" not in text
    return text


@pytest.mark.parametrize("query", QUERIES)
def test_query_of_the_dashboard_returns_data(scraped: Scraped, query: str) -> None:
    # The count of alerts of a Prometheus that runs has to wait for a rule's first evaluation.
    assert scraped.prometheus.between(_filled_in(query), scraped.began, time.time(), 0.5)


@pytest.mark.parametrize("name", ["node", "server"])
def test_variable_of_the_dashboard_has_a_value(scraped: Scraped, name: str) -> None:
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", VARIABLES[name]["query"]["query"])
    values = scraped.prometheus.ask(
        f"label/{asked[2]}/values", **{"match[]": _filled_in(asked[1]), "start": scraped.began}
    )
    key = {"node": "source_node", "server": "server_uuid"}[name]
    assert scraped.record[key] in values


def test_rules_are_evaluated_without_errors_and_none_fires(scraped: Scraped) -> None:
    groups = scraped.prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    shipped = yaml.safe_load((ROOT / "etc/prometheus/migprog.rules.yml").read_text())["groups"]
    assert len(rules) == sum(len(group["rules"]) for group in shipped)
    assert {rule["name"]: rule["health"] for rule in rules if rule["health"] != "ok"} == {}
    fired = 'ALERTS{alertname=~"Migprog.+", alertstate="firing"}'
    assert scraped.prometheus.between(fired, scraped.began, time.time(), 1.0) == []

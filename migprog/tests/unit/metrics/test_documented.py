# SPDX-License-Identifier: Apache-2.0
"""``doc/source/metrics.rst`` has each metric with its labels, and no other; nor does any query of
the dashboard, of the alert rules or of a page ask for a metric that there is none of."""

import pathlib
import re
from typing import Any

import pytest

from migprog.metrics import (
    REGISTRY,
    agent,
    agent_states,
    api,
    conductor,
    notifications,
    per_migration,
)

ROOT = pathlib.Path(__file__).resolve().parents[4]
PAGE = (ROOT / "doc/source/metrics.rst").read_text()
MODULES = (agent, agent_states, api, conductor, notifications, per_migration)
# A row of its tables: the metric, its labels.
_ROW = re.compile(r"(?ms)^   \* - ``(migprog_\w+)``\n     -([^\n]*)\n     - ")
# What asks Prometheus for metrics.
ASKING = sorted(
    path
    for folder in ("etc/prometheus", "etc/grafana")
    for path in (ROOT / folder).rglob("*")
    if path.is_file()
)
PAGES = sorted(
    path
    for path in (
        *(ROOT / "doc/source").rglob("*"),
        *(ROOT / "etc/man").rglob("*"),
        *ROOT.glob("*.rst"),
        ROOT / "etc/migprog/migprog.conf.sample",
    )
    if path.is_file() and path.suffix in (".rst", ".csv", ".sample", ".1", ".8")
)
_SUFFIXES = ("_bucket", "_count", "_sum")
# Users of broker and database, as the pages name them.
_OTHERS = {"migprog_api", "migprog_conductor", "migprog_manage"} | {
    # The topic and the object of notifications, and the action for Watcher.
    *("migprog_notifications", "migprog_object", "migprog_migrate"),
}


def _metrics() -> dict[str, set[str]]:
    """Each by the name that Prometheus asks for, with its labels."""
    collectors: set[Any] = set(REGISTRY._collector_to_names)
    families = [
        family
        for each in collectors
        for family in (each.describe() if hasattr(each, "describe") else ())
    ]
    labels = {each._name: each._labelnames for each in collectors if hasattr(each, "_labelnames")}
    labels |= {each.name: each._labelnames for each in families if hasattr(each, "_labelnames")}
    return {
        family.name + ("_total" if family.type == "counter" else ""): set(labels[family.name])
        for family in families
    }


def _known() -> set[str]:
    return set(_metrics()) | {name + suffix for name in _metrics() for suffix in _SUFFIXES}


def test_page_has_each_metric_with_its_labels() -> None:
    documented = {
        name: set(re.findall(r"``(\w+)``", labels)) for name, labels in _ROW.findall(PAGE)
    }
    assert documented == _metrics()


@pytest.mark.parametrize("path", [*ASKING, *PAGES], ids=lambda path: path.name)
def test_metrics_that_a_file_names_exist(path: pathlib.Path) -> None:
    named = set(re.findall(r"\bmigprog_[a-z]\w+", path.read_text()))
    assert named - _OTHERS <= _known()

# SPDX-License-Identifier: Apache-2.0
"""``doc/source/metrics.rst`` has each metric with its labels, and no other."""

import pathlib
import re
from typing import Any

from migprog.metrics import REGISTRY, agent, api, conductor

PAGE = (pathlib.Path(__file__).resolve().parents[4] / "doc/source/metrics.rst").read_text()
MODULES = (agent, api, conductor)
# A row of its tables: the metric, its labels.
_ROW = re.compile(r"(?ms)^   \* - ``(migprog_\w+)``\n     -([^\n]*)\n     - ")


def _metrics() -> dict[str, set[str]]:
    """Each by the name that Prometheus asks for, with its labels."""
    collectors: set[Any] = set(REGISTRY._collector_to_names)
    return {
        each._name + ("_total" if each._type == "counter" else ""): set(each._labelnames)
        for each in collectors
    }


def test_page_has_each_metric_with_its_labels():
    documented = {
        name: set(re.findall(r"``(\w+)``", labels)) for name, labels in _ROW.findall(PAGE)
    }
    assert documented == _metrics()


def test_rules_on_the_page_ask_for_metrics_that_exist():
    suffixes = ("_bucket", "_count", "_sum")
    known = set(_metrics()) | {name + suffix for name in _metrics() for suffix in suffixes}
    assert set(re.findall(r"\bmigprog_\w+", PAGE)) <= known

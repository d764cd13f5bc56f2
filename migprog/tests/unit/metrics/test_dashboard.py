# SPDX-License-Identifier: Apache-2.0
"""The dashboard is one of Grafana's, by Grafana's own model of it."""

import itertools
import json
import pathlib
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from migprog.metrics.per_migration import VERDICT_CODES

GRAFANA = pathlib.Path(__file__).resolve().parents[4] / "etc/grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards/migprog.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def unknown(ours: Any, grafanas: Any, at: str = "") -> list[str]:
    """The places where Grafana's model has not what the file has."""
    if isinstance(ours, dict) and isinstance(grafanas, dict):
        each = (unknown(ours[key], grafanas.get(key), f"{at}.{key}") for key in ours)
        return list(itertools.chain.from_iterable(each))
    if isinstance(ours, list) and isinstance(grafanas, list) and len(ours) == len(grafanas):
        pairs = enumerate(zip(ours, grafanas, strict=True))
        each = (unknown(*pair, f"{at}[{number}]") for number, pair in pairs)
        return list(itertools.chain.from_iterable(each))
    return [] if ours == grafanas else [at]


def test_grafana_knows_all_that_the_dashboard_has() -> None:
    plugins.register_default_plugins()
    theirs = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert unknown(DASHBOARD, theirs) == []


def test_panels_lie_beside_each_other() -> None:
    fields: list[tuple[int, int]] = []
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        fields += itertools.product(
            range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        )
    assert len(fields) == len(set(fields))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_asks_the_chosen_prometheus(panel: dict[str, Any]) -> None:
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    refs = [target["refId"] for target in panel["targets"]]
    assert refs and len(set(refs)) == len(refs)


def test_timeline_has_the_word_of_each_verdicts_code() -> None:
    (timeline,) = (panel for panel in PANELS if panel["title"] == "Verdicts")
    (mapping,) = timeline["fieldConfig"]["defaults"]["mappings"]
    words = {int(code): option["text"] for code, option in mapping["options"].items()}
    assert words == {code: verdict.value for verdict, code in VERDICT_CODES.items()}


def test_provisioned_folder_is_the_one_that_the_page_fills() -> None:
    path = GRAFANA / "provisioning/dashboards/migprog.yaml"
    (provider,) = yaml.safe_load(path.read_text())["providers"]
    page = (GRAFANA.parents[1] / "doc/source/monitoring.rst").read_text()
    assert f"migprog.json {provider['options']['path']}/" in page

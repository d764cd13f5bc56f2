# SPDX-License-Identifier: Apache-2.0
"""The alert rules by Prometheus' own tool: each fires in its case, and not in those beside it.

``alerts/*.yml`` are promtool's unit tests, which are tried on rules with mistakes, too.
"""

import pathlib
import re
import subprocess
from collections.abc import Mapping

import pytest
import yaml

pytestmark = pytest.mark.functional

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = ROOT / "etc/prometheus/migprog.rules.yml"
CONFIG = ROOT / "etc/prometheus/prometheus.yml"
FILES = sorted((pathlib.Path(__file__).parent / "alerts").glob("*.yml"))
GROUPS = {each["name"]: each["rules"] for each in yaml.safe_load(RULES.read_text())["groups"]}
ALERTS = {rule["alert"]: rule for rules in GROUPS.values() for rule in rules}
# Mistakes in the expression of a rule: what it has, and what it could have had.
MISTAKES = [
    ("MigprogMigrationNotConverging", "or on (node)", "or"),
    ("MigprogMigrationNotConverging", "> 0", ">= 0"),
    ("MigprogMigrationNotConverging", "migprog_migration_verdict{", "none{"),
    ("MigprogMigrationStalled", "or on (node)", "or"),
    ("MigprogMigrationStalled", '"stalled"', '"not-converging"'),
    ("MigprogMigrationStalled", "migprog_migration_verdict{", "none{"),
    ("MigprogGuestPaused", "> 30", ">= 30"),
    ("MigprogGuestPaused", "> 30", "> 45"),
    ("MigprogGuestPaused", "or on (node)", "or"),
    ("MigprogPostCopyPaused", "post-copy-paused", "post-copy"),
    ("MigprogPostCopyPaused", "or on (node)", "or"),
    ("MigprogDown", "migprog-.+", ".+"),
    ("MigprogAgentSilent", "max by (host) (migprog_agent_silent)", "migprog_agent_silent"),
    ("MigprogAgentSilent", "> 7 * 86400", "> 9 * 86400"),
    ("MigprogAgentHangs", "> 45", ">= 45"),
    ("MigprogAgentHangs", "> 45", "> 60"),
    ("MigprogReportsUnacknowledged", "> 120", ">= 120"),
    ("MigprogConductorLagging", "> 10", ">= 10"),
    ("MigprogReportsDropped", "increase(", "max_over_time("),
    ("MigprogReportsRefused", "foreign|sequence|instant|project", ".+"),
    ("MigprogReportsRefused", "increase(", "max_over_time("),
    ("MigprogStateDiskLow", "<", "<="),
    ("MigprogStateDiskLow", "100 *", "10 *"),
    ("MigprogDowntimeLong", '{status="completed"}', ""),
    ("MigprogDowntimeLong", "0.95", "0.99"),
    ("MigprogDowntimeLong", "0.95", "0.80"),
    ("MigprogApiFailing", "> 0.05", "> 0.03"),
    ("MigprogApiFailing", '"5.."', '"[45].."'),
]


def promtool(*arguments: str | pathlib.Path) -> str:
    """What it says, after its exit status where that is none of a success."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)
    return (f"{done.returncode}: " if done.returncode else "") + done.stdout + done.stderr


def failing(directory: pathlib.Path, changes: Mapping[str, Mapping[str, str | None]]) -> set[str]:
    """The rules that the unit tests find wrong when those named have other fields; None takes a
    field away."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule |= changes.get(rule["alert"], {})
        for name in [name for name, value in rule.items() if value is None]:
            del rule[name]
    changed = directory / RULES.name
    changed.write_text(yaml.safe_dump(rules))
    said = promtool("check", "rules", changed)
    assert f"SUCCESS: {len(ALERTS)} rules found" in said, said
    for file in FILES:
        text = re.sub(r"(?m)^  - \S+/migprog\.rules\.yml$", f"  - {changed}", file.read_text())
        (directory / file.name).write_text(text)
    said = promtool("test", "rules", *(directory / file.name for file in FILES))
    return set(re.findall(r"alertname: (\w+), time", said))


def test_rules_and_configuration_are_prometheus_own() -> None:
    said = promtool("check", "rules", RULES)
    assert f"SUCCESS: {len(ALERTS)} rules found" in said
    assert "is valid prometheus config file" in promtool("check", "config", CONFIG)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_rule_fires_in_its_case_alone(file: pathlib.Path) -> None:
    said = promtool("test", "rules", file)
    assert "SUCCESS" in said, said


def test_unit_tests_find_no_mistake_where_there_is_none(tmp_path: pathlib.Path) -> None:
    assert failing(tmp_path, {}) == set()


def test_unit_tests_find_each_rule_that_never_fires(tmp_path: pathlib.Path) -> None:
    changes = {alert: {"expr": "none_such > 0"} for alert in ALERTS}
    assert failing(tmp_path, changes) == set(ALERTS)


def test_unit_tests_find_each_rule_that_always_fires(tmp_path: pathlib.Path) -> None:
    changes = {alert: {"expr": "vector(1)", "for": None} for alert in ALERTS}
    assert failing(tmp_path, changes) == set(ALERTS)


def test_unit_tests_find_each_rule_that_fires_too_soon(tmp_path: pathlib.Path) -> None:
    changes = {alert: {"for": None} for alert, rule in ALERTS.items() if "for" in rule}
    assert failing(tmp_path, changes) == set(changes)


def test_unit_tests_find_a_wrong_expression(tmp_path: pathlib.Path) -> None:
    """One of each rule at a time."""
    left = list(MISTAKES)
    while left:
        at_once = {alert: (old, new) for alert, old, new in reversed(left)}
        left = [each for each in left if at_once[each[0]] != each[1:]]
        changes = {}
        for alert, (old, new) in at_once.items():
            assert old in ALERTS[alert]["expr"], (alert, old)
            changes[alert] = {"expr": ALERTS[alert]["expr"].replace(old, new)}
        assert failing(tmp_path, changes) == set(changes), at_once


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_says_how_urgent_it_is_what_follows_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert alert.startswith("Migprog")
    assert rule["labels"]["severity"] in ("critical", "warning")
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description"}
    assert not texts["summary"].endswith(".")
    assert texts["description"].endswith(".") and len(texts["description"].split(". ")) > 1


def test_page_has_each_alert_with_its_severity() -> None:
    page = (ROOT / "doc/source/monitoring.rst").read_text()
    rows = re.findall(r"(?m)^   \* - ``(Migprog\w+)``\n     - (\w+)$", page)
    assert dict(rows) == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}

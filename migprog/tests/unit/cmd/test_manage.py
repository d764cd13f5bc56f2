# SPDX-License-Identifier: Apache-2.0
"""migprog-manage as an operator runs it."""

import dataclasses
import json
import time

import pytest

from migprog import objects
from migprog.core.messages import Batch
from migprog.core.status import Status
from migprog.db import schema
from migprog.tests import stores
from migprog.tests.fixtures import commands
from migprog.tests.store_cases.agents import AGENT

_DAY = 86_400


@pytest.fixture
def manage(tmp_path):
    (tmp_path / "migprog.conf").write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/migprog.sqlite\n"
    )

    def run(*arguments, config="migprog.conf"):
        return commands.run("migprog-manage", "--config-file", str(tmp_path / config), *arguments)

    return run


def test_sync_and_version(manage):
    none = manage("db", "version")
    assert (none.returncode, none.stdout) == (0, "none: run migprog-manage db sync\n")
    first, again = manage("db", "sync"), manage("db", "sync")
    head = schema.head()
    assert first.returncode == again.returncode == 0
    assert first.stdout == f"the database is now at version {head} (it was at none)\n"
    assert again.stdout == f"the database is up to date (version {head})\n"
    assert manage("db", "version").stdout == f"{head}\n"


def test_agent_that_hangs_is_distinguished_from_others_that_are_silent(manage, tmp_path):
    manage("db", "sync")
    store = stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
    for host, age in (("a", 0.5), ("b", 50.0)):
        agent = dataclasses.replace(AGENT, loop_age_seconds=age)
        objects.store_batch(store, Batch(host=host, node="n", agent=agent), time.time())
    agents = json.loads(manage("agent", "list", "--json").stdout)["agents"]
    assert [(each["state"], each["hangs"]) for each in agents] == [("up", False), ("silent", True)]
    _, up, hangs = manage("agent", "list").stdout.splitlines()
    assert "  up  " in up
    assert "  silent (hangs)  " in hangs


def test_agents(manage, tmp_path):
    manage("db", "sync")
    store = stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
    batch = Batch(host="compute-1", node="n", agent=AGENT)
    objects.store_batch(store, batch, time.time() - 61)
    heading, line = manage("agent", "list").stdout.splitlines()
    assert heading.split("  ")[0] == "HOST"
    assert "LAST REPORT" in heading
    assert line.startswith("compute-1  n     6")
    assert "silent  5 s " in line
    assert line.endswith(AGENT.version)
    (agent,) = json.loads(manage("agent", "list", "--json").stdout)["agents"]
    assert 61 <= agent.pop("last_report_age_seconds") < 600
    assert agent.pop("last_reported_at")
    assert agent == {
        "host": "compute-1",
        "node": "n",
        "state": "silent",
        "hangs": False,
        "version": AGENT.version,
        "report_interval_seconds": 5.0,
        "heartbeat_interval_seconds": 30.0,
        "started_at": f"{stores.at(AGENT.started_at):%Y-%m-%dT%H:%M:%SZ}",
        "migrations": 1,
        "actions_enabled": AGENT.actions_enabled,
        "measurements_enabled": AGENT.measurements_enabled,
    }


def test_purge(manage, tmp_path):
    manage("db", "sync")
    store = stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
    now = time.time()
    old, young = (stores.report(status=Status.COMPLETED) for _ in range(2))
    stores.store(store, old, stores.report(), last_reported_at=now - 31 * _DAY)
    stores.store(store, young, last_reported_at=now - 29 * _DAY)
    would = manage("db", "purge", "--older-than", "30", "--dry-run").stdout.splitlines()
    assert stores.migration(store, old)
    did = manage("db", "purge", "--older-than", "30").stdout.splitlines()
    what = "1 migration(s) with 0 point(s) of their histories, 1 server(s), 0 agent(s), "
    what += "0 measurement(s)"
    assert would[0].startswith("would delete what was last reported before ")
    assert did[0].startswith("deleted what was last reported before ")
    assert would[0].endswith(what) and did[0].endswith(what)
    assert would[1] == did[1]
    assert did[1].startswith("kept 1 migration(s) in progress")
    left = objects.Migration.list(store)
    assert [m.uuid for m in left if not m.in_progress] == [young.uuid]
    (last,) = manage("db", "purge", "--older-than=30", "--in-progress-too").stdout.splitlines()
    assert last.endswith(what)
    assert [m.uuid for m in objects.Migration.list(store)] == [young.uuid]


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "soon", "", "36501", "9" * 99, "١"])
def test_days_that_cannot_be(manage, days):
    done = manage("db", "purge", f"--older-than={days}")
    assert done.returncode == 2
    assert "--older-than: " in done.stderr
    assert "must be a whole number of days, from 1 to 36500" in done.stderr


def test_purge_needs_days_and_tables(manage):
    assert "--older-than" in manage("db", "purge").stderr
    none = manage("db", "purge", "--older-than", "1")
    assert none.returncode == 1
    assert "run migprog-manage db sync" in none.stderr


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "[database] connection: is not set"),
        ("[database]\nconnection = sqlite:////no/such/folder/x\n", "unable to open database file"),
    ],
)
def test_impossible_commands_are_refused(manage, tmp_path, config, says):
    (tmp_path / "bad.conf").write_text(config)
    done = manage("db", "sync", config="bad.conf")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("migprog-manage: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["db"], ["db", "destroy"]])
def test_bad_arguments(manage, arguments):
    done = manage(*arguments)
    assert done.returncode == 2
    assert "usage: " in done.stderr


def test_command_with_an_empty_environment_has_nothing_of_the_tests(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    narrow = commands.run("migprog-manage", "--help").stdout
    wide = commands.run("migprog-manage", "--help", environment={}).stdout
    assert len(wide.splitlines()) < len(narrow.splitlines())

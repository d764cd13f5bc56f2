# SPDX-License-Identifier: Apache-2.0
"""migprog-manage as an operator runs it."""

import subprocess
import sys
import time

import pytest

from migprog import objects
from migprog.core.report import Batch
from migprog.db import schema
from migprog.tests import stores
from migprog.tests.store_cases.agents import AGENT

_COMMAND = [sys.executable, "-c", "from migprog.cmd import manage; manage.main()"]


@pytest.fixture
def manage(tmp_path):
    (tmp_path / "migprog.conf").write_text(
        f"[database]\nconnection = sqlite:///{tmp_path}/migprog.sqlite\n"
    )

    def run(*arguments, config="migprog.conf"):
        return subprocess.run(
            [*_COMMAND, "--config-file", str(tmp_path / config), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

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


def test_agents(manage, tmp_path):
    manage("db", "sync")
    store = stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
    batch = Batch(host="compute-1", node="n", agent=AGENT)
    objects.store_batch(store, batch, time.time() - 61)
    heading, line = manage("agent", "list").stdout.splitlines()
    assert heading.split() == ["HOST", "HEARD", "EVERY", "MOVING", "SINCE", "VERSION"]
    host, seconds, _, every, _, moving, since, version = line.split()
    assert (host, every, moving, version) == ("compute-1", "5", "1", AGENT.version)
    assert 61 <= int(seconds) < 120
    assert since == f"{stores.at(AGENT.started_at):%Y-%m-%dT%H:%M:%SZ}"


def test_purge(manage, tmp_path):
    manage("db", "sync")
    store = stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")
    now = time.time()
    for days in (0.5, 1.9, 2.1, 30):
        stores.store(store, stores.report(), heard_at=now - days * 86_400)
    would = manage("db", "purge", "--older-than", "2", "--dry-run").stdout
    assert would.startswith("there are 2 migration(s), 2 server(s), 0 agent(s) not told of since ")
    assert len(objects.Migration.list(store)) == 4
    did = manage("db", "purge", "--older-than", "2")
    assert did.returncode == 0
    assert did.stdout.startswith("removed: 2 migration(s), 2 server(s), 0 agent(s) not told of ")
    assert len(objects.Migration.list(store)) == 2


@pytest.mark.parametrize("days", ["0", "0.9", "-1", "nan", "inf", "ten", ""])
def test_purge_wants_a_number_of_days(manage, days):
    refused = manage("db", "purge", f"--older-than={days}")
    assert refused.returncode == 2
    assert f"--older-than: {days!r} must be a number from 1 to 36500" in refused.stderr


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "[database] connection: is not set"),
        ("[database]\nconnection = sqlite:////no/such/folder/x\n", "unable to open database file"),
    ],
)
def test_what_it_cannot_do(manage, tmp_path, config, says):
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

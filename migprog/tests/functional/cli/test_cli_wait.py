# SPDX-License-Identifier: Apache-2.0
"""``watch --until-done`` and ``wait-host``, as scripts use them, by a real ``migprog-api``."""

import json
import pathlib
import time

import pytest

from migprog import objects
from migprog.cli import events
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.cli.commands import PATIENCE_SECONDS, following, run
from migprog.tests.functional.test_api import serving

pytestmark = pytest.mark.functional

_OTHER = "00000000-0000-0000-0000-00000000beef"


OUTCOMES = [
    (Status.COMPLETED, 0),
    (Status.FAILED, 3),
    (Status.CANCELLED, 4),
    (Status.UNKNOWN, 5),
]


def test_watch_until_done_ends_by_the_outcome(store: objects.Store, api: str) -> None:
    for number, (status, code) in enumerate(OUTCOMES, 1):
        report = migrations.running(number)
        migrations.store(store, report)
        with following(api, "watch", "--until-done", f"server-{number}") as process:
            assert " listed " in process.stdout.readline()
            migrations.store(store, migrations.ended(report, status))
            assert process.wait(PATIENCE_SECONDS) == code
            assert " ended " in process.stdout.readline()
            said = process.stderr.read()
            assert f"has ended: {status.value}" in said
            # In hindsight, for people.
            assert [line[:2] for line in said.splitlines()[2:]] == ["  "] * 4


def test_watch_until_done_waits_for_the_migration_that_was_just_requested(
    store: objects.Store, api: str
) -> None:
    """Not the one of yesterday; one that has just ended counts."""
    old = migrations.running(1, started_at=time.time() - 90_000)
    long_ago = time.time() - 89_000
    ended = migrations.ended(old, Status.FAILED, ended_at=long_ago, sampled_at=long_ago)
    migrations.store(store, ended)
    server = old.server_uuid
    done = run(
        api, "watch", "--until-done", server, "--start-timeout", "1", "--interval", "0.5", code=7
    )
    assert "has not begun in time" in done.stderr
    run(api, "watch", "--until-done", server, "--migration", ended.uuid, code=3)
    with following(api, "watch", "--until-done", server) as process:
        new = migrations.running(1, uuid=_OTHER)
        migrations.store(store, new)
        assert f" {new.server_uuid} server-1 " in process.stdout.readline()
        migrations.store(store, migrations.ended(new))
        assert process.wait(PATIENCE_SECONDS) == 0
    # At once.
    run(api, "watch", "--until-done", server)


def test_watch_until_done_gives_up_in_time(store: objects.Store, api: str) -> None:
    migrations.store(store, migrations.running(1))
    done = run(api, "watch", "--until-done", "server-1", "--timeout", "1", code=6)
    assert "has not ended in time" in done.stderr


def test_watch_until_done_goes_on_over_an_outage(
    store: objects.Store, tmp_path: pathlib.Path
) -> None:
    report = migrations.running(1)
    migrations.store(store, report)
    database = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    with (
        serving(tmp_path, database, "threading") as (api, program),
        following(api, "watch", "--until-done", "server-1", "-f", "json") as process,
    ):
        lines = (json.loads(line)["event"] for line in process.stdout)
        assert next(lines) == events.Kind.LISTED
        program.kill()
        assert next(lines) == events.Kind.API_UNAVAILABLE
        migrations.store(store, migrations.ended(report))
        program.start()
        assert list(lines) == [events.Kind.API_AVAILABLE, events.Kind.ENDED]
        assert process.wait(PATIENCE_SECONDS) == 0


def test_wait_host_ends_when_no_migration_touches_the_host(store: objects.Store, api: str) -> None:
    leaving, coming = migrations.running(1), migrations.running(2)
    migrations.heartbeat(store)
    migrations.store(store, leaving)
    migrations.store(store, coming, host="compute-2")
    arrived = stores.arrival(coming.server_uuid, at=time.time() - 30)
    stores.store(store, arrived, host="compute-1", last_reported_at=time.time())
    run(api, "wait-host", "compute-1", "--timeout", "1", code=6)
    with following(api, "wait-host", "compute-1") as process:
        assert {process.stdout.readline().split()[2] for _ in range(2)} == {"server-1", "server-2"}
        migrations.store(store, migrations.ended(leaving))
        assert " ended " in process.stdout.readline()
        migrations.store(store, migrations.ended(coming), host="compute-2")
        assert process.wait(PATIENCE_SECONDS) == 0
        assert "no migration touches host compute-1" in process.stderr.read()


def test_wait_host_does_not_take_silence_for_an_empty_host(store: objects.Store, api: str) -> None:
    migrations.heartbeat(store, at=time.time() - 900)
    done = run(api, "wait-host", "compute-1", code=5)
    assert "its agent is silent" in done.stderr


def test_wait_host_does_not_take_a_hung_agents_word(store: objects.Store, api: str) -> None:
    """Its heartbeats arrive, but the thread that watches migrations stands still."""
    migrations.heartbeat(store, loop_age_seconds=600.0)
    done = run(api, "wait-host", "compute-1", code=5)
    assert "no migration of host compute-1 is known, but its agent is silent" in done.stderr


def test_wait_host_waits_for_a_migration_of_an_agent_that_reports_no_more(
    store: objects.Store, api: str
) -> None:
    """It may still run: the command says so at once and at its end. An agent that is back ends
    the wait."""
    report, long_ago = migrations.running(1), time.time() - 600
    migrations.heartbeat(store, at=long_ago)
    stores.store(store, report, host="compute-1", last_reported_at=long_ago)
    done = run(api, "wait-host", "compute-1", "--timeout", "1", code=6)
    (line,) = done.stdout.splitlines()
    assert " listed " in line and ": no report from compute-1 for 10m" in line
    assert done.stderr.startswith(
        "timed out: 1 migration still touches host compute-1; 1 of them stale: no report from "
        "compute-1 for 10m"
    )
    with following(api, "wait-host", "compute-1") as process:
        assert " listed " in process.stdout.readline()
        migrations.heartbeat(store)
        migrations.store(store, migrations.ended(report))
        assert process.wait(PATIENCE_SECONDS) == 0
        assert process.stderr.read() == "no migration touches host compute-1\n"

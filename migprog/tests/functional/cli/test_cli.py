# SPDX-License-Identifier: Apache-2.0
"""``migprog`` as programs use it, by a real ``migprog-api``: lists, lines, exit statuses."""

import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import jsonschema
import pytest
from keystoneauth1 import adapter, noauth, session

from migprog import objects
from migprog.api.microversion import NATIVE
from migprog.cli import client
from migprog.core.messages import Report
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.fixtures import migrations
from migprog.tests.functional.cli.commands import following, run
from migprog.tests.functional.test_api import serving
from migprog.tests.store_cases.measuring import measured, put
from migprog.tests.unit.cli.test_events import SCHEMA

pytestmark = pytest.mark.functional

_NOBODY = "00000000-0000-0000-0000-00000000beef"


def rows(api: str, *arguments: str) -> Any:
    return json.loads(run(api, *arguments, "-f", "json").stdout)


def servers(api: str, *arguments: str) -> list[str]:
    return [row["Server"] for row in rows(api, "list", *arguments)]


def fill(store: objects.Store) -> dict[str, Report]:
    """Five migrations of two hosts, two of them ended."""
    now = time.time()
    made = {
        "fine": migrations.running(1, percent=20),
        "stuck": migrations.running(2, percent=90, **migrations.NOT_CONVERGING),
        "other": migrations.running(3, percent=55, project_id="p-other"),
        "done": migrations.running(4, started_at=now - 900),
        "failed": migrations.running(5, started_at=now - 800),
    }
    for name in ("done", "failed", "fine", "stuck"):
        migrations.store(store, made[name])
    migrations.store(store, made["other"], host="compute-2")
    migrations.store(
        store,
        migrations.ended(made["done"]),
        migrations.ended(made["failed"], Status.FAILED, error="no route to host"),
    )
    return made


Filled: TypeAlias = tuple[str, dict[str, Report]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """An API over five migrations that do not change, and their last but one reports."""
    directory = tmp_path_factory.mktemp("filled")
    database = f"sqlite:///{directory / 'migprog.sqlite'}"
    made = stores.ready(database)
    reports = fill(made)
    made.close()
    with serving(directory, database, "threading") as (base, _program):
        yield base, reports


def test_list_shows_what_is_in_progress_and_what_is_asked_for(filled: Filled) -> None:
    api, made = filled
    one, two, three, four, five = (f"server-{number}" for number in range(1, 6))
    assert servers(api) == [two, one, three]
    assert servers(api, "--ended") == [five, four]
    assert servers(api, "--all", "--sort", "created_at:asc") == [four, five, one, two, three]
    for asked, wanted in {
        "--status failed": [five],
        "--verdict ended": [five, four],
        "--verdict not-converging": [two],
        "--host compute-2": [three],
        "--project p-other": [three],
        "--server server-2": [two],
        f"--server {made['done'].server_uuid} --ended": [four],
        "--sort percent": [one, three, two],
        "--sort percent:desc --limit 2": [two, three],
        "--ended --sort ended_at --limit 1": [five],
        f"--ended --marker {made['failed'].uuid}": [four],
        "--changed-since 2020-01-01T00:00:00Z --limit 1": [three],
    }.items():
        assert servers(api, *asked.split()) == wanted, asked
    (row, *_) = rows(api, "list")
    assert (row["Percent"], row["Verdict"], row["Time Left"]) == (90, "not-converging", None)
    (row,) = rows(api, "list", "--server", "server-1", "--long")
    assert 0 < row["Time Left"] <= 60
    assert (row["Sent"], row["Source"], row["Stale"]) == (117 * 2**20, "compute-1", False)
    shown = run(api, "list", "--long").stdout
    assert "| server-2 " in shown and "| 90% " in shown and "117M/s" in shown


def test_list_that_was_asked_to_end_is_not_called_cut(filled: Filled) -> None:
    api, _made = filled
    done = run(api, "list", "--all", "--limit", "2")
    assert "there are more" not in done.stderr


def test_list_reads_all_pages_of_what_is_in_progress(store: objects.Store, api: str) -> None:
    migrations.fill(store, 1001)
    assert len(set(servers(api))) == 1001
    done = run(api, "list", "--all", "-f", "value", "-c", "UUID", "--long")
    assert len(done.stdout.split()) == 1000
    assert f"--marker {done.stdout.split()[-1]} shows those after" in done.stderr


def test_show_and_history_are_of_the_newest_migration_or_the_named_one(filled: Filled) -> None:
    api, made = filled
    shown = rows(api, "show", "server-2")
    assert (shown["uuid"], shown["verdict"]) == (made["stuck"].uuid, "not-converging")
    assert shown == rows(api, "show", made["stuck"].server_uuid, str(shown["id"]))
    text = run(api, "show", "server-2").stdout
    assert "| downtime_needed_seconds " in text and "| 2.3 s " in text and "| 4.0G " in text
    points = rows(api, "history", made["done"].server_uuid)
    assert points[-1]["Status"] == "completed"
    assert {"Time Left Low", "CPU Throttle"} < rows(api, "history", "server-1", "--long")[0].keys()


def test_summary_says_in_hindsight_how_a_migration_went(filled: Filled) -> None:
    api, made = filled
    shown = rows(api, "summary", made["done"].server_uuid)
    assert [*shown] == ["outcome", "time", "measures", "forecast", "actions"]
    assert shown["outcome"].startswith("completed after 15 min")
    every = rows(api, "summary", made["failed"].server_uuid, "--long")
    assert (every["status"], every["sentences"]["outcome"][:6]) == ("failed", "failed")
    assert {each["reason"] for each in rows(api, "summary", "server-2", "--long")["measures"]} == {
        "in-progress"
    }
    assert "| outcome " in run(api, "summary", "server-4").stdout
    done = run(api, "--api-version", "1.2", "summary", "server-2", code=1)
    assert "the API shows no summary in microversion 1.2; it needs 1.3" in done.stderr


def test_forecast_says_how_a_migration_would_go(api: str, store: objects.Store) -> None:
    server = fill(store)["fine"].server_uuid
    none = run(api, "forecast", server, code=1)
    assert (
        "No measurement of the server is known: have it measured first. (HTTP 404)" in none.stderr
    )
    assert ": use --measure, which [api] and [compute] allow_measurements permit" in none.stderr
    unknown = run(api, "forecast", _NOBODY, code=1)
    assert "is known: name its host, and have it measured. (HTTP 404)" in unknown.stderr
    assert ": use --host HOST, with --measure" in unknown.stderr
    now = time.time()
    put(store, measured(server, now - 3600), host="compute-1", received_at=now)
    shown = rows(api, "forecast", server, "--dest", "compute-2", "--long")
    assert (shown["converges"], shown["dest_compute"]) == ("yes", "compute-2")
    assert shown["measurement"]["windows"][0]["seconds"] == 1.0
    assert shown["learned_from"].endswith("migrations (source)")
    assert "measurement" not in rows(api, "forecast", server)
    assert "| message" in run(api, "forecast", server).stdout
    refused = run(api, "forecast", server, "--measure", code=1)
    assert "Measuring is disabled: set [api] allow_measurements = true" in refused.stderr
    assert "being measured" not in refused.stderr
    old = run(api, "--api-version", "1.4", "forecast", server, code=1)
    assert "the API shows no forecast in microversion 1.4; it needs 1.6" in old.stderr


def test_plan_says_when_a_host_is_empty_and_what_to_run(
    api: str, store: objects.Store, tmp_path: pathlib.Path
) -> None:
    now = time.time()
    quiet, busy = (f"00000000-0000-0000-0000-0000000000{number}" for number in (91, 92))
    put(store, measured(quiet, now - 3600), host="rack 1", received_at=now)
    rates = {"windows": ((1.0, 9000), (4.0, 9000)), "memory_bytes": 2**36, "resident_bytes": None}
    put(store, measured(busy, now - 3600, **rates), host="rack 1", received_at=now)
    made = rows(api, "plan", "rack 1", "--dest", "b; reboot", "--at-once", "1")
    assert [(row["Server UUID"], row["State"]) for row in made] == [
        (quiet, "waiting"),
        (busy, "stays"),
    ]
    done = run(api, "plan", "rack 1", "--deadline", "2036-01-01T00:00:00Z", "--long")
    assert "| Helps " in done.stdout and "1 server does not move without help" in done.stderr
    lines = run(api, "plan", "rack 1", "--dest", "b; reboot", "-f", "openstack").stdout.splitlines()
    (command,) = (line for line in lines if not line.startswith("#"))
    assert command.startswith("openstack --os-compute-api-version 2.30 server migrate --live-")
    assert f" --host 'b; reboot' {quiet}" in command
    late = run(api, "plan", "rack 1", "--deadline", "tomorrow", code=1)
    assert "deadline: 'tomorrow' must be an instant" in late.stderr
    none = run(api, "plan", "nowhere", code=1)
    assert "no agent of host 'nowhere' is known (HTTP 404)" in none.stderr
    refused = run(api, "plan", "rack 1", "--measure", code=1)
    assert "Measuring is disabled: set [api] allow_measurements = true" in refused.stderr
    old = run(api, "--api-version", "1.6", "plan", "rack 1", code=1)
    assert "the API shows no plan of a drain in microversion 1.6; it needs 1.7" in old.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("show web", 1, "is of a server called 'web'; give its UUID"),
        (f"show {_NOBODY}", 1, f"no migration of server {_NOBODY} is recorded"),
        ("show server-1 77", 1, "(HTTP 404) (Request-ID: req-"),
        ("list --changed-since yesterday", 1, "changed_since: 'yesterday' must be an instant"),
        ("list --sort size", 2, "'size' must be one of: trouble, server_name"),
        ("list --ended --all", 2, "not allowed with argument"),
        ("watch --until-done", 1, "--until-done needs a server"),
        ("wait-host compute-99", 1, "no agent of host 'compute-99' is known"),
        ("--api-version 2 list", 2, "must be 1, or a microversion such as 1.0"),
        ("--api-version 1.999 list", 1, "Version 1.999 is not supported"),
        ("--url localhost:8790 list", 2, "must be an http or https URL"),
        ("--url http://[::1 list", 2, "'http://[::1' must be an http or https URL"),
        ("--url http://api:port list", 2, "'http://api:port' must be an http or https URL"),
        ("--url http://api:99999 list", 2, "must be an http or https URL"),
        ("--url http://a..b list", 2, "must be an http or https URL"),
        ("--url http://api?x=1 list", 2, "without user, query and fragment"),
        ("--url http://me:pass@api list", 2, "'http://***@api' must be an http or https URL"),
        ("list --limit x", 2, "--limit: 'x' must be a whole number, at least 1"),
        ("list --limit 0", 2, "--limit: '0' must be a whole number, at least 1"),
        ("watch --interval x", 2, "--interval: 'x' must be a number of seconds, at least 0.5"),
        ("watch --interval nan", 2, "--interval: 'nan' must be a number of seconds"),
        ("watch --timeout -1", 2, "--timeout: '-1' must be a number of seconds, at least 0"),
        ("watch --migration 1 server-1", 1, "--migration needs --until-done"),
        ("watch --until-done server-1 --host a", 1, "it takes no --host"),
    ],
)
def test_what_is_wrong_is_said(filled: Filled, arguments: str, code: int, said: str) -> None:
    api, _made = filled
    done = run(api, *arguments.split(), code=code)
    assert said in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        *(
            "list --host",
            "list --project",
            "list --server",
            "list --marker",
            "list --changed-since",
        ),
        *("watch --host", "wait-host", "show", "forecast", "forecast web --dest"),
    ],
)
def test_name_that_a_script_left_empty_selects_nothing(filled: Filled, command: str) -> None:
    """And not everything."""
    api, _made = filled
    for empty in ("", " "):
        done = run(api, *command.split(), empty, code=2)
        assert f": {empty!r} must not be empty" in done.stderr


def test_options_without_a_command_show_the_commands(filled: Filled) -> None:
    """cliff would begin a dialogue."""
    api, _made = filled
    assert "wait-host" in run(api, code=2).stdout


def test_advice_needs_an_api_that_has_it(filled: Filled) -> None:
    api, _made = filled
    for server in ([], ["server-2"]):
        done = run(api, "--api-version", "1.1", "advice", *server, code=1)
        assert "the API shows no advice in microversion 1.1; it needs 1.2" in done.stderr


def test_name_of_several_servers_has_to_be_a_uuid(store: objects.Store, api: str) -> None:
    names = {1: "web", 2: "web"}
    made = migrations.fill(store, 2, names)
    done = run(api, "show", "web", code=1)
    assert "2 servers are called 'web'" in done.stderr
    assert all(each.server_uuid in done.stderr for each in made)


def test_client_speaks_the_newest_microversion_that_the_api_knows(api: str) -> None:
    newest = (NATIVE.newest.major, NATIVE.newest.minor)
    api_session = session.Session(auth=noauth.NoAuth(endpoint=api))

    def speaking(newest_of_client: tuple[int, int]) -> client.Client:
        made = client.Client(adapter.Adapter(api_session, endpoint_override=api))
        made.microversion = newest_of_client
        return made

    ahead = speaking((1, 999))
    assert ahead.in_progress({}).records == ()
    assert ahead.microversion == newest
    behind = speaking((1, 0))
    behind.in_progress({})
    assert behind.microversion == (1, 0)


def test_client_gets_the_same_list_as_long_as_nothing_has_changed(
    store: objects.Store, api: str
) -> None:
    made = fill(store)
    api_session = session.Session(auth=noauth.NoAuth(endpoint=api))
    asking = client.Client(adapter.Adapter(api_session, endpoint_override=api))
    first, second = (asking.in_progress({}).records for _ in range(2))
    assert all(one is other for one, other in zip(first, second, strict=True))
    migrations.store(store, stores.later(made["fine"], percent=30))
    third = asking.in_progress({}).records
    assert {each["server_name"]: each["percent"] for each in third}["server-1"] == 30
    assert asking.now() == pytest.approx(time.time(), abs=1.5)


def test_watch_writes_a_json_line_for_each_change(store: objects.Store, api: str) -> None:
    made = fill(store)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    with following(api, "watch", "-f", "json", "--host", "compute-2") as process:

        def line() -> Any:
            document = json.loads(process.stdout.readline())
            validator.validate(document)
            return document

        found = line()
        assert (found["event"], found["migration"]["percent"]) == ("listed", 55)
        migrations.store(store, stores.later(made["other"], percent=56), host="compute-2")
        found = line()
        assert (found["event"], found["changed"], found["previous"]) == (
            "changed",
            ["percent"],
            {"percent": 55},
        )
        migrations.store(store, migrations.running(9), host="compute-2")
        found = line()
        assert (found["event"], found["migration"]["server_name"]) == ("started", "server-9")
        last = stores.later(made["other"], percent=56)
        migrations.store(store, migrations.ended(last), host="compute-2")
        found = line()
        assert (found["event"], found["migration"]["status"]) == ("ended", "completed")
        assert found["migration"]["total_seconds"] > 50


def test_watch_without_a_terminal_writes_a_line_for_each_change(
    store: objects.Store, api: str
) -> None:
    made = fill(store)
    with following(api, "watch", made["fine"].server_uuid) as process:
        assert "server-1 (compute-1 → ?) listed 20% memory-iterations 3" in (
            process.stdout.readline()
        )
        stuck = stores.later(made["fine"], **migrations.NOT_CONVERGING)
        migrations.store(store, stuck)
        line = process.stdout.readline()
        assert "changed 20% memory-iterations 3, not-converging: needs a downtime of" in line
        assert "\x1b" not in line

# SPDX-License-Identifier: Apache-2.0
"""migprog-status as an operator runs it."""

import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from oslo_upgradecheck.upgradecheck import Code

from migprog import objects
from migprog.cmd import store_checks
from migprog.core.messages import Batch
from migprog.db import schema
from migprog.tests import stores
from migprog.tests.fixtures import commands
from migprog.tests.fixtures.nova import NovaApi, record
from migprog.tests.store_cases.agents import AGENT
from migprog.version import RELEASE

# Where nobody listens.
_BROKER = "[DEFAULT]\ntransport_url = rabbit://migprog:secret@127.0.0.1:1/migprog\n"
_NOAUTH = f"{_BROKER}[api]\nauth_strategy = noauth\n"
_OURS = RELEASE
_SUCCESS, _WARNING, _FAILURE = 0, 1, 2


@pytest.fixture
def store(tmp_path):
    return stores.connect(f"sqlite:///{tmp_path}/migprog.sqlite")


@pytest.fixture
def check(tmp_path, store):
    """Runs the check with a configuration; gives its exit status, and of each check the result and
    its words."""
    database = f"[database]\nconnection = {store.engine.url}\n"

    def run(config=_BROKER, *, database=database, process=()):
        (tmp_path / "migprog.conf").write_text(config + database)
        done = _run(tmp_path / "migprog.conf", "--json", process=process)
        told = json.loads(done.stdout)["checks"]
        return done.returncode, {each["check"]: (each["result"], each["details"]) for each in told}

    return run


def _run(config, *arguments, process=()):
    named = [word for name in process for word in ("--process", name)]
    return commands.run(
        "migprog-status", "--config-file", str(config), *named, "upgrade", "check", *arguments
    )


def _tell(store, last_reported_at, **changes):
    agent = dataclasses.replace(AGENT, **({"version": _OURS} | changes))
    objects.store_batch(store, Batch(host="compute-1", node="n", agent=agent), last_reported_at)


def test_all_is_well(check, store):
    """As far as it can be without a broker and a Keystone: the functional tests have them."""
    schema.sync(store)
    _tell(store, time.time())
    code, told = check(_NOAUTH)
    assert code == _FAILURE
    assert told.pop("message broker")[0] == _FAILURE
    where = f"database {store.engine.url.database}"
    assert told == {
        "configuration": (_SUCCESS, "for migprog-conductor, migprog-api"),
        "database tables": (_SUCCESS, f"version {schema.head()} in {where}"),
        "database rights": (_SUCCESS, f"{where}: may read and write"),
        "Keystone": (_SUCCESS, "not used: [api] auth_strategy is noauth"),
        "Nova": (_SUCCESS, "not used: [nova] auth_type is not set"),
        "notifications": (_SUCCESS, "not used: [notifications] enabled is false"),
        "agents": (_SUCCESS, f"1, none silent, all of version {_OURS}"),
        "database credentials": (_SUCCESS, "SQLite has none"),
    }


def test_broker_that_is_away_is_a_failure_with_its_address(check, store):
    schema.sync(store)
    result, says = check(_NOAUTH)[1]["message broker"]
    assert result == _FAILURE
    assert says.startswith("message broker 127.0.0.1:1, virtual host migprog: cannot connect: ")
    assert says.endswith("[needed by migprog-conductor]")
    assert "secret" not in says


def test_broker_of_notifications_that_is_away_is_a_failure(check, store):
    schema.sync(store)
    other = "rabbit://migprog:secret@127.0.0.1:2/migprog"
    options = f"[oslo_messaging_notifications]\ntransport_url = {other}\n"
    enabled = f"{_NOAUTH}[notifications]\nenabled = true\n{options}"
    result, says = check(enabled)[1]["notifications"]
    assert result == _FAILURE
    where = "notifications by message broker 127.0.0.1:2, virtual host migprog"
    assert says.startswith(f"{where}: cannot connect: ")
    assert says.endswith("[needed by migprog-conductor]")
    assert "secret" not in says


def test_libraries_write_nothing_beside_the_results(tmp_path):
    (tmp_path / "migprog.conf").write_text(_BROKER)
    done = _run(tmp_path / "migprog.conf", process=("migprog-conductor",))
    assert done.returncode == _FAILURE
    assert done.stderr == ""


def test_libvirt_that_is_away_is_named(check):
    told = check(_BROKER + "[compute]\nconnection_uri = test:///nowhere\n", database="")[1]
    assert told["libvirt"][0] == _FAILURE
    assert told["libvirt"][1].startswith("[compute] connection_uri: test:///nowhere: ")


def test_error_of_an_unavailable_keystone_has_the_systems_message(check, store):
    schema.sync(store)
    keystone = """[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
username = migprog
password = secret
user_domain_id = default
project_name = service
project_domain_id = default
"""
    result, says = check(_BROKER + keystone, process=("migprog-api",))[1]["Keystone"]
    assert (result, says) == (
        _FAILURE,
        "[keystone_authtoken] Keystone http://127.0.0.1:1/v3: cannot connect: [Errno 111] "
        "Connection refused; until it can, the API answers new tokens with 503: check auth_url and "
        "Keystone [needed by migprog-api]",
    )


def test_nothing_but_the_table_is_written(tmp_path, check, store):
    """oslo.messaging logs each attempt to reach the broker, which is away here."""
    schema.sync(store)
    check(_NOAUTH)
    done = _run(tmp_path / "migprog.conf")
    assert done.stderr == ""
    assert {line[0] for line in done.stdout.splitlines()} == {"+", "|"}


def _nova(api):
    return f"[nova]\nauth_type = none\nendpoint_override = {api.url}\n"


def test_nova_user_without_rights_is_a_failure_with_the_policy_that_is_missing(check, store):
    schema.sync(store)
    rule = "Policy doesn't allow os_compute_api:os-migrations:index:all_projects to be performed."
    api = NovaApi()
    api.ill = 403, json.dumps({"forbidden": {"code": 403, "message": rule}}).encode()
    with api.serving():
        result, says = check(_NOAUTH + _nova(api))[1]["Nova"]
    assert result == _FAILURE
    assert rule in says
    assert "allow [nova] username's role os_compute_api:os-migrations:index, " in says


def test_nova_user_that_may_not_see_hosts_is_a_failure(check, store):
    schema.sync(store)
    api, at = NovaApi(), datetime(2026, 9, 1, tzinfo=UTC)
    hosts = ("dest_compute", "dest_host", "dest_node", "source_compute", "source_node")
    with api.serving():
        result, says = check(_NOAUTH + _nova(api))[1]["Nova"]
        assert (result, says) == (
            _SUCCESS,
            "Nova lists migrations; it has none yet to check that their hosts are included",
        )
        api.records = [record(str(UUID(int=1)), 1, str(UUID(int=2)), at)]
        assert check(_NOAUTH + _nova(api))[1]["Nova"] == (
            _SUCCESS,
            "Nova lists migrations with their hosts",
        )
        api.records[0] |= dict.fromkeys(hosts)
        result, says = check(_NOAUTH + _nova(api))[1]["Nova"]
    assert result == _FAILURE
    assert "without their hosts" in says


def test_hypervisor_needs_no_database(check):
    code, told = check(_BROKER + "[compute]\nconnection_uri = test:///nowhere\n", database="")
    assert code == _FAILURE
    machine = {"libvirt", "state directory", "nova-compute and steering"}
    assert set(told) == {"configuration", "message broker", *machine}
    assert told["nova-compute and steering"] == (_SUCCESS, "not used: [steering] mode is advise")
    assert told["configuration"] == (_SUCCESS, "for migprog-compute")
    assert told["libvirt"][0] == _FAILURE
    assert "[needed by migprog-compute]" in told["libvirt"][1]


def test_misspelt_option_of_a_library_is_a_warning(check, store):
    schema.sync(store)
    result, says = check(_NOAUTH + "[oslo_messaging_rabbit]\nssll = true\n[databse]\nx = 1\n")[1][
        "configuration"
    ]
    assert result == _WARNING
    assert "[oslo_messaging_rabbit] ssll, [databse]" in says


def test_result_is_a_table(tmp_path, check):
    check("")
    done = _run(tmp_path / "migprog.conf")
    assert done.returncode == _FAILURE
    assert "| Check: message broker " in done.stdout
    assert "| Result: Failure " in done.stdout


@pytest.mark.parametrize(
    ("config", "which", "says"),
    [
        ("[compute]\npoll_interval = 0\n", "configuration", "[compute] poll_interval: "),
        ("[api]\nlistn = x\n", "configuration", "[api] listn: there is no such option"),
        ("[compute]\npoll_interval = 21\n", "configuration", "[compute] report_interval: "),
        ("", "message broker", "[DEFAULT] transport_url: is not set"),
        ("[DEFAULT]\ntransport_url = rabbit://\n", "message broker", "names no broker"),
        ("[DEFAULT]\ntransport_url = fake://\n", "message broker", "[DEFAULT] transport_url: fake"),
        ("[DEFAULT]\ntransport_url = dove://x/\n", "message broker", "[DEFAULT] transport_url: "),
    ],
)
def test_a_configuration_that_cannot_be(check, store, config, which, says):
    schema.sync(store)
    code, told = check(config)
    assert (code, told[which][0]) == (_FAILURE, _FAILURE)
    assert says in told[which][1]
    assert told["database tables"][0] == _SUCCESS, "the others are looked at all the same"


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("", "[database] connection: is not set"),
        ("[database]\nconnection = oracle://x/y\n", "must be one of"),
        ("[database]\nconnection = sqlite:////no/such/folder/x\n", "unable to open database file"),
        ("[database]\nconnection = mysql+pymysql://x:secret@127.0.0.1:1/y\n", "does not serve"),
    ],
)
def test_a_database_that_does_not_serve(check, database, says):
    code, told = check(database=database, process=("migprog-conductor",))
    assert (code, told["database tables"][0]) == (_FAILURE, _FAILURE)
    assert says in told["database tables"][1]
    assert "secret" not in str(told)
    assert told["agents"][0] == _FAILURE


@pytest.mark.parametrize(
    ("version", "result", "says"),
    [
        (None, _FAILURE, "no tables in database"),
        ("0001", _FAILURE, "the tables are at version 0001"),
        ("9999", _WARNING, "the tables are at version 9999, newer than this program"),
    ],
)
def test_tables_of_another_version(check, store, version, result, says):
    if version is not None:
        schema.sync(store)
        with store.writing() as connection:
            connection.execute(
                sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version}
            )
    told = check()[1]
    assert told["database tables"][0] == result
    assert says in told["database tables"][1]


def test_checks_that_need_tables_are_skipped_without_them(check):
    told = check(_NOAUTH)[1]
    assert told["database tables"][1].endswith(
        ": run migprog-manage db sync [needed by migprog-api, migprog-conductor]"
    )
    for name in ("database rights", "agents", "database credentials"):
        result, says = told[name]
        assert result == _WARNING
        assert says.startswith(
            "not checked: the database has no tables; run migprog-manage db sync [needed by "
        ), name


def test_agents_that_need_a_look(check, store):
    schema.sync(store)
    _tell(store, time.time() - 2 * AGENT.heartbeat_interval_seconds - 1, version="0.0.0.1")
    result, says = check()[1]["agents"]
    assert result == _WARNING
    assert "1 of 1 silent: compute-1 (0.0.0.1)" in says


def _agent(host="compute-1", version="2.0.0", last_reported_at=stores.START):
    told = dataclasses.asdict(dataclasses.replace(AGENT, version=version))
    del told["key"]
    return objects.Agent(
        **told | {"host": host, "node": host, "started_at": stores.at(stores.START)},
        last_reported_at=stores.at(last_reported_at),
    )


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("1.9.0", "1 of 1 older than 2.0.0: compute-1 (1.9.0); upgrade them, after"),
        ("2.0.0.dev5", "1 of 1 older than 2.0.0"),
        ("10.0.0", "1 of 1 not of 2.0.0, and not older: compute-1 (10.0.0); upgrade the conduct"),
        ("v" * 32, "not of 2.0.0, and not older"),
    ],
)
def test_agents_of_another_version(version, says):
    now = stores.at(stores.START)
    result = store_checks.judge_agents([_agent(version=version)], "2.0.0", now)
    assert result.code == Code.WARNING
    assert says in result.details


def test_agents_are_silent_after_two_heartbeats():
    heard = stores.at(stores.START)
    for seconds, code in ((60, Code.SUCCESS), (61, Code.WARNING)):
        now = heard + timedelta(seconds=seconds)
        assert store_checks.judge_agents([_agent()], "2.0.0", now).code == code
    assert store_checks.judge_agents([], "2.0.0", heard).code == Code.SUCCESS


def test_of_many_some_are_named():
    agents = [_agent(f"compute-{n}", "1.0.0") for n in range(400)]
    details = store_checks.judge_agents(agents, "2.0.0", stores.at(stores.START)).details
    assert "400 of 400 older" in details
    assert details.count("compute-") == 5
    assert ", 395 more;" in details


def test_credentials_on_a_hypervisor():
    result = store_checks.judge_credentials([])
    assert (result.code, result.details) == (Code.SUCCESS, "no agent reports from this machine")
    result = store_checks.judge_credentials([_agent()])
    assert result.code == Code.WARNING
    assert "this machine is a hypervisor, compute-1 (2.0.0)" in result.details


def test_a_file_that_is_missing_is_an_error():
    done = _run("/none.conf")
    assert done.returncode == 255
    assert "migprog-status: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout

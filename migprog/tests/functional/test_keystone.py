# SPDX-License-Identifier: Apache-2.0
"""``migprog-api`` behind a real Keystone: who gets what, with real tokens."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator

import openstack
import pytest
import requests
from keystoneauth1 import loading
from openstack import exceptions
from oslo_config import cfg

from lab.parts import keystone, processes
from lab.parts.keystone import PASSWORD, SYSTEM, Keystone, of_project
from migprog import exception, objects
from migprog.api import app
from migprog.api import keystone as api_keystone
from migprog.api.error_codes import ErrorCode
from migprog.conductor.nova_client import NoAnswer, Nova
from migprog.conf import nova as nova_conf
from migprog.tests import access, stores
from migprog.tests.fixtures.nova import NovaApi
from migprog.tests.unit.api.conftest import client_of, configuration, error_of

_KEYSTONE = "keystone_authtoken"
SERVER = str(uuid.UUID(int=1))
# By the columns of the table: the role, and the project it is in; None: the system. Without any
# role there is no token, so "none" has one that no rule names.
USERS = {
    "none": ("load-balancer", "red"),
    "other": ("member", "blue"),
    "reader": ("reader", "red"),
    "manager": ("manager", "red"),
    "admin": ("admin", "red"),
    "system-reader": ("reader", None),
}
_MAIN = "import sys; from migprog.cmd.api import main; sys.exit(main())"
_CONF = """
[database]
connection = {database}
[api]
bind_port = {port}
"""


@dataclasses.dataclass(frozen=True)
class Cloud:
    """``api``: the address of migprog-api; ``tokens``: by the columns of the table."""

    shared: pathlib.Path
    keystone: Keystone
    database: str
    api: str
    tokens: dict[str, str]
    migration: objects.Migration

    def get(self, path: str, token: str | None) -> requests.Response:
        headers = {} if token is None else {"X-Auth-Token": token}
        return requests.get(self.api + path, headers=headers, timeout=30)


def scope(project: str | None) -> dict:
    return SYSTEM if project is None else of_project(project)


@contextlib.contextmanager
def serving(directory: pathlib.Path, database: str, authtoken: str, port: int) -> Iterator[str]:
    """Run migprog-api; gives its address."""
    conf = directory / "migprog.conf"
    conf.write_text(_CONF.format(database=database, port=port) + authtoken)
    with processes.running(
        [sys.executable, "-W", "ignore", "-c", _MAIN, "--config-file", str(conf)],
        directory,
        os.environ,
    ) as program:
        processes.wait_for_port(port, 60, program)
        yield f"http://127.0.0.1:{port}"
        assert "Traceback" not in program.output()


@pytest.fixture(scope="module")
def cloud(
    keystone_files: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    shared, directory = keystone_files, tmp_path_factory.mktemp("cloud")
    database = f"sqlite:///{directory / 'migprog.sqlite'}"
    (port,) = processes.free_ports(1)
    with keystone.serving(shared, shared) as identity:
        identity.new_role("load-balancer")
        projects = {name: identity.new_project(name) for name in ("red", "blue", "service")}
        for user, (role, project) in USERS.items():
            # Keystone has made a user of that name itself.
            identity.new_user(f"a-{user}", role, projects.get(project))
        identity.new_user("migprog", "service", projects["service"])
        # keystonemiddleware looks for Keystone in its own catalog.
        identity.new_endpoint("identity", identity.url)
        identity.new_endpoint("compute", f"http://127.0.0.1:{port}/v2.1")
        store = stores.ready(database)
        migration = access.fill(store, SERVER, projects["red"])
        store.close()
        with serving(directory, database, identity.authtoken(), port) as api:
            tokens = {
                user: identity.token(f"a-{user}", scope(project))
                for user, (_role, project) in USERS.items()
            }
            yield Cloud(shared, identity, database, api, tokens, migration)


def test_the_table_of_the_documentation(cloud: Cloud) -> None:
    def ask(method: str, path: str, token: str) -> tuple[int, str]:
        answer = requests.request(
            method,
            cloud.api + access.address(path, cloud.migration),
            headers=access.NOVA
            | {"X-Auth-Token": cloud.tokens[token], "Content-Type": "application/json"},
            data=access.body(method, path),
            timeout=30,
        )
        # This process acts on nothing: what it would do, if it could, it may.
        is_permitted = answer.status_code == 501 or ErrorCode.ACTIONS_DISABLED in answer.text
        return (202, "") if is_permitted else (answer.status_code, answer.text)

    assert access.table(ask, cloud.migration) == access.documented()


def test_an_admin_of_one_project_is_one_of_all(cloud: Cloud) -> None:
    token = cloud.keystone.token("admin", of_project("admin"))
    shown = cloud.get(f"/servers/{SERVER}", token).json()["server"]
    assert shown["host"] == cloud.migration.source_compute
    assert cloud.get("/v2.1/servers", token).json() == {"servers": []}
    (listed,) = cloud.get("/v2.1/servers?all_tenants=1", token).json()["servers"]
    assert listed["id"] == SERVER


def test_public_addresses_need_no_token(cloud: Cloud) -> None:
    assert [each["id"] for each in cloud.get("/", None).json()["versions"]] == ["v1", "v2.1"]
    assert cloud.get("/v2.1", None).json()["version"]["id"] == "v2.1"
    assert cloud.get("/v2.1/", None).json()["version"]["min_version"] == "2.1"
    assert cloud.get("/healthcheck", None).status_code == 200
    assert cloud.get("/migrations", None).status_code == 401


def test_a_token_that_is_no_good(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    """None at all, nonsense, one that was revoked, and one that has expired."""
    revoked = cloud.keystone.token("a-reader", of_project("red"))
    cloud.keystone.revoke(revoked)
    with keystone.serving(cloud.shared, tmp_path, expiration_seconds=1) as brief:
        expired = brief.token("a-reader", of_project("red"))
    processes.wait_for(lambda: not cloud.keystone.knows(expired), 30, "a token to expire")
    for token in (None, "garbage", "gAAAAA" + "x" * 180, revoked, expired):
        answer = cloud.get("/migrations", token)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["code"]) == (401, ErrorCode.UNAUTHORIZED)
        assert answer.headers["www-authenticate"].startswith("Keystone uri=")
        answer = cloud.get("/v2.1/os-migrations", token)
        assert (answer.status_code, answer.json()["unauthorized"]["code"]) == (401, 401)
    assert cloud.get("/migrations", cloud.tokens["reader"]).status_code == 200


def test_a_catalog_without_the_endpoint(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """The real middleware raises then, and does not answer."""
    conf = configuration("sqlite://", auth_strategy="keystone")
    loading.register_auth_conf_options(conf, _KEYSTONE)
    conf.register_opts(loading.get_auth_plugin_conf_options("password"), _KEYSTONE)
    store = objects.connect(conf)
    with pytest.raises(exception.ConfigError):  # registers its options
        api_keystone.authenticated(conf, app.create(configuration("sqlite://"), store))
    for name, value in {
        "auth_type": "password",
        "auth_url": cloud.keystone.url,
        "www_authenticate_uri": cloud.keystone.url,
        "username": "migprog",
        "password": PASSWORD,
        "user_domain_id": "default",
        "project_name": "service",
        "project_domain_id": "default",
        "interface": "admin",
    }.items():
        conf.set_override(name, value, _KEYSTONE)
    client = client_of(app.create(conf, store))
    headers = {"X-Auth-Token": cloud.tokens["reader"]}
    error = error_of(
        client.simulate_get("/migrations", headers=headers), ErrorCode.KEYSTONE_UNAVAILABLE
    )
    assert "no endpoint for it" in error["detail"]
    fault = client.simulate_get("/v2.1/servers", headers=headers).json["serviceUnavailable"]
    assert (fault["code"], fault["message"]) == (503, error["detail"])
    assert "[keystone_authtoken] interface = admin" in caplog.text
    store.close()


def test_openstacksdk_finds_its_way_by_the_catalog(cloud: Cloud) -> None:
    def compute(user: str, project: str):
        return openstack.connection.Connection(
            auth_url=cloud.keystone.url,
            username=user,
            password=PASSWORD,
            project_name=project,
            user_domain_id="default",
            project_domain_id="default",
        ).compute

    (found,) = compute("a-admin", "red").migrations()
    assert found.uuid == cloud.migration.uuid
    assert found.source_compute == cloud.migration.source_compute
    # As Nova has it: those of all projects are an admin's.
    with pytest.raises(exceptions.ForbiddenException, match="os-migrations:index:all_projects"):
        list(compute("a-manager", "red").migrations())
    with pytest.raises(exceptions.ForbiddenException, match="os-migrations:index"):
        list(compute("a-reader", "red").migrations())


def test_the_conductor_asks_nova_with_a_token(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    """By ``[nova]``: a token of the real Keystone's, and a stand-in for Nova."""
    path = tmp_path / "migprog.conf"
    api = NovaApi()
    with api.serving():
        path.write_text(
            "[nova]\nauth_type = password\nusername = migprog\nuser_domain_id = default\n"
            "project_name = service\nproject_domain_id = default\n"
            f"auth_url = {cloud.keystone.url}\npassword = {PASSWORD}\n"
            f"endpoint_override = {api.url}\n"
        )
        conf = cfg.ConfigOpts()
        nova_conf.register_opts(conf)
        conf(["--config-file", str(path)], default_config_dirs=[])
        nova = Nova(conf)
        assert nova.migrations(SERVER) == []
        ((_path, _query, headers),) = api.asked
        assert cloud.keystone.knows(headers["X-Auth-Token"])
        # One that is not good any more is replaced, and Nova asked again.
        cloud.keystone.revoke(headers["X-Auth-Token"])
        api.ill = 401, b"{}"
        with pytest.raises(NoAnswer):
            nova.migrations(SERVER)
        tokens = {headers["X-Auth-Token"] for _path, _query, headers in api.asked}
        assert len(tokens) == 2


def test_a_keystone_that_hangs_holds_up_unknown_tokens_only(
    cloud: Cloud, tmp_path: pathlib.Path
) -> None:
    """Stopped, with more requests than there are threads that wait for it."""
    (port,) = processes.free_ports(1)
    found: list[int] = []
    with serving(tmp_path, cloud.database, cloud.keystone.authtoken(10), port) as api:
        impatient = dataclasses.replace(cloud, api=api)
        known = cloud.tokens["reader"]
        assert impatient.get("/migrations", known).status_code == 200

        def ask(number: int) -> None:
            found.append(impatient.get("/migrations", f"unknown-{number}").status_code)

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        os.killpg(cloud.keystone.program.process.pid, signal.SIGSTOP)
        try:
            for each in asking:
                each.start()
            assert impatient.get("/healthcheck", None).status_code == 200
            assert impatient.get("/migrations", known).status_code == 200
            assert any(each.is_alive() for each in asking), "these have waited for Keystone, too"
            for each in asking:
                each.join(60)
        finally:
            os.killpg(cloud.keystone.program.process.pid, signal.SIGCONT)
        assert found == [503] * len(asking)
        # It answers first those whom nobody waits for any more.
        processes.wait_for(
            lambda: impatient.get("/migrations", "unknown").status_code == 401,
            60,
            "Keystone to be back",
        )


def check(conf: pathlib.Path, process: str) -> tuple[int, dict[str, tuple[int, str]]]:
    """What ``migprog-status upgrade check`` finds for a process: its exit status, and of each check
    the result and its words."""
    command = "import sys; from migprog.cmd.status import main; sys.exit(main())"
    arguments = ["--config-file", str(conf), "--process", process, "upgrade", "check", "--json"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "mellon" not in done.stdout + done.stderr
    told = json.loads(done.stdout)["checks"]
    return done.returncode, {each["check"]: (each["result"], each["details"]) for each in told}


def configured(cloud: Cloud, path: pathlib.Path, group: str, **changes: str) -> pathlib.Path:
    """A configuration with a database, and a way to log in to Keystone in a group."""
    options = {
        "auth_type": "password",
        "auth_url": cloud.keystone.url,
        "username": "migprog",
        "password": PASSWORD,
        "user_domain_id": "default",
        "project_name": "service",
        "project_domain_id": "default",
    } | changes
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    database = f"sqlite:///{path.parent / 'migprog.sqlite'}"
    stores.ready(database).close()
    path.write_text(f"[database]\nconnection = {database}\n[{group}]\n{lines}")
    return path


def test_check_gets_a_token_and_looks_at_it(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    conf = configured(cloud, tmp_path / "migprog.conf", _KEYSTONE)
    code, told = check(conf, "migprog-api")
    assert code == 0, told
    assert told["Keystone"] == (0, f"Keystone {cloud.keystone.url}: a token was issued and checked")


def test_check_fails_with_a_wrong_password(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    conf = configured(cloud, tmp_path / "migprog.conf", _KEYSTONE, password="mellon")
    code, told = check(conf, "migprog-api")
    assert (code, told["Keystone"][0]) == (2, 2)
    assert "Unauthorized" in told["Keystone"][1]
    assert told["Keystone"][1].endswith("[needed by migprog-api]")


def test_check_warns_of_a_user_that_may_not_validate_tokens(
    cloud: Cloud, tmp_path: pathlib.Path
) -> None:
    conf = configured(
        cloud, tmp_path / "migprog.conf", _KEYSTONE, username="a-reader", project_name="red"
    )
    code, told = check(conf, "migprog-api")
    assert (code, told["Keystone"][0]) == (1, 1)
    assert "user a-reader has none of the roles admin, service" in told["Keystone"][1]


def test_check_lists_novas_migrations(cloud: Cloud, tmp_path: pathlib.Path) -> None:
    api = NovaApi()
    with api.serving():
        conf = configured(
            cloud, tmp_path / "migprog.conf", nova_conf.GROUP.name, endpoint_override=api.url
        )
        told = check(conf, "migprog-conductor")[1]["Nova"]
        assert told[0] == 0
        assert told[1].startswith("Nova lists migrations")
        why = "Policy doesn't allow os_compute_api:os-migrations:index to be performed."
        api.ill = 403, json.dumps({"forbidden": {"code": 403, "message": why}}).encode()
        result, says = check(conf, "migprog-conductor")[1]["Nova"]
    assert result == 2
    assert says.startswith("[nova] os-migrations cannot be listed: HTTP 403 from http://")
    assert f": {why}; allow [nova] username's role " in says

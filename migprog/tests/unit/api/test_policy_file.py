# SPDX-License-Identifier: Apache-2.0
"""What an operator's policy file changes, and what is logged of one that cannot be read."""

import http.server
import os
import pathlib
import threading

import pytest
from oslo_config import cfg

from migprog import context, exception, objects, policies
from migprog.tests import access, stores
from migprog.tests.unit.api.conftest import SERVER
from migprog.tests.unit.api.tokens import PROJECT, keystone_client

AGENTS = "migprog:agents:list"


def test_a_rule_is_changed_and_changed_again_without_a_restart(
    store: objects.Store, connection: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f'"{AGENTS}": "role:load-balancer"\n')
    client = keystone_client(store, connection, policy_file=str(path))

    def codes() -> list[int]:
        return [
            client.simulate_get("/agents", headers={"X-Auth-Token": token}).status_code
            for token in ("odd", "reader", "admin")
        ]

    assert codes() == [200, 403, 403]
    path.write_text(f'"{AGENTS}": "role:reader"\n')
    # Files are told apart by their times, which may be coarse.
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 5))
    assert codes() == [403, 200, 200]


def test_hosts_may_be_shown_to_owners(
    store: objects.Store, connection: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text('"migprog:migrations:hosts": "role:reader"\n')
    stores.store(store, stores.report(server_uuid=SERVER, project_id=PROJECT), host="rack7")
    for options, host in (({}, None), ({"policy_file": str(path)}, "rack7")):
        client = keystone_client(store, connection, **options)
        shown = client.simulate_get("/migrations", headers={"X-Auth-Token": "reader"}).json
        assert [each["source_compute"] for each in shown["migrations"]] == [host]


def test_rules_in_novas_policy_file_apply(
    store: objects.Store, connection: str, tmp_path: pathlib.Path
) -> None:
    """Its rules, and the names that they are made of."""
    migration = access.fill(store, SERVER, PROJECT)
    path = tmp_path / "rules.yaml"
    show = "os_compute_api:servers:migrations:show"
    address = f"/v2.1/servers/{SERVER}/migrations/{migration.id}"
    for text, codes in (
        ("", {"reader": 403, "manager": 403, "admin": 200, "odd": 403}),
        (f"{show}: rule:project_manager_or_admin", {"reader": 403, "manager": 200, "admin": 200}),
        ("context_is_admin: role:load-balancer", {"admin": 403, "odd": 200}),
    ):
        path.write_text(text)
        client = keystone_client(store, connection, policy_file=str(path))
        for token, code in codes.items():
            headers = access.NOVA | {"X-Auth-Token": token}
            answer = client.simulate_get(address, headers=headers)
            assert answer.status_code == code, (text, token)
            if code == 200:
                hosts = answer.json["migration"]["source_compute"]
                assert (hosts is None) == (token == "manager")


def test_projects_can_be_kept_out(
    store: objects.Store, connection: str, tmp_path: pathlib.Path
) -> None:
    migration = access.fill(store, SERVER, PROJECT)
    path = tmp_path / "rules.yaml"
    path.write_text("project_reader_api: '!'\nproject_manager_api: '!'\n")
    client = keystone_client(store, connection, policy_file=str(path))
    for address, resource in access.routes():
        if "GET" in resource.RULES:
            for token, code in (("reader", 403), ("manager", 403), ("admin", 200)):
                answer = client.simulate_get(
                    access.address(address, migration),
                    headers=access.NOVA | {"X-Auth-Token": token},
                )
                assert answer.status_code == code, (address, token)


def test_a_rule_that_is_for_everybody_is_for_every_project_alone(
    store: objects.Store, connection: str, tmp_path: pathlib.Path
) -> None:
    """A server that is in no project belongs to no token without one, whatever the rules."""
    path = tmp_path / "rules.yaml"
    path.write_text('"migprog:migrations:list": ""\n')
    stores.store(store, stores.report(server_uuid=SERVER))
    client = keystone_client(store, connection, policy_file=str(path))
    for token, code, count in (
        ("unscoped", 403, None),
        ("domain-admin", 403, None),
        ("system-none", 403, None),
        ("none", 200, 0),
        ("other", 200, 0),
        ("admin", 200, 1),
    ):
        answer = client.simulate_get("/migrations", headers={"X-Auth-Token": token})
        assert answer.status_code == code, token
        if count is not None:
            assert len(answer.json["migrations"]) == count, token


@pytest.mark.parametrize(
    "text", ["a: [", "- a list\n", '"a": "rule:b"\n"b": "rule:a"\n', '"a": "rule:nowhere"\n']
)
def test_invalid_policy_file_is_an_error_at_the_start(
    store: objects.Store, connection: str, tmp_path: pathlib.Path, text: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(exception.ConfigError, match=r"^\[oslo_policy\] policy_file: "):
        keystone_client(store, connection, policy_file=str(path))


def test_missing_policy_file_is_an_error_at_the_start(
    store: objects.Store, connection: str
) -> None:
    with pytest.raises(exception.ConfigError, match=r"policy_file: there is no file '/none\.yaml'"):
        keystone_client(store, connection, policy_file="/none.yaml")


class _Oracle(http.server.BaseHTTPRequestHandler):
    """Says of each rule that it is asked for what it said not the time before."""

    said = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).said = not self.said
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.said).encode())

    def log_message(self, *_of_it: object) -> None:
        pass


def test_rule_that_asks_another_service_is_checked_each_time(
    store: objects.Store, connection: str, tmp_path: pathlib.Path
) -> None:
    """What is remembered of others would be old news."""
    path = tmp_path / "rules.yaml"
    with http.server.HTTPServer(("127.0.0.1", 0), _Oracle) as oracle:
        threading.Thread(target=oracle.serve_forever, daemon=True).start()
        path.write_text(f'"{AGENTS}": "http://127.0.0.1:{oracle.server_port}/may"\n')
        client = keystone_client(store, connection, policy_file=str(path))
        codes = [
            client.simulate_get("/agents", headers={"X-Auth-Token": "reader"}).status_code
            for _ in range(4)
        ]
        oracle.shutdown()
    assert codes == [200, 403, 200, 403]


def test_number_of_cached_decisions_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_MOST_DECISIONS", 10)
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    policy = policies.Policy(conf)
    for number in range(25):
        users = [
            context.RequestContext(
                user_id=str(number), project_id="p", roles=roles, overwrite=False
            )
            for roles in (["admin"], ["reader"])
        ]
        assert [policy.of(user)(AGENTS) for user in users] == [True, False]
        assert len(policy._in_force()) <= 10

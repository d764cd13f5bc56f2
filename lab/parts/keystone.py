# SPDX-License-Identifier: Apache-2.0
"""A real Keystone on SQLite, from the environment that ``tools/prepare test`` makes for it."""

import base64
import contextlib
import functools
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import requests

from lab.parts import processes

BIN = pathlib.Path(sys.prefix) / "keystone/bin"
PASSWORD = "open sesame"
DOMAIN = {"id": "default"}
SYSTEM = {"system": {"all": True}}
_PATIENCE_SECONDS = 60

# Keystone reads the command line when it is imported, and has no use for ours.
_SERVE = """
import sys
port, sys.argv = int(sys.argv[1]), ["keystone"]
from keystone.wsgi.api import application
import waitress
waitress.serve(application, host="127.0.0.1", port=port, threads=4)
"""
_CONF = """
[DEFAULT]
use_stderr = true
[database]
# By default a writer gives up after 5 s.
connection = sqlite:///{shared}/keystone.db?timeout=60
[identity]
password_hash_rounds = 4
[token]
expiration = {expiration}
[fernet_tokens]
key_repository = {shared}/fernet/
[fernet_receipts]
key_repository = {shared}/fernet/
[cache]
# Without one, as in no cloud, it reads the grants of a token's user ten times over.
enabled = true
backend = oslo_cache.dict
"""

_AUTHTOKEN = """
[keystone_authtoken]
auth_type = password
auth_url = {url}
www_authenticate_uri = {url}
username = migprog
password = {password}
user_domain_id = default
project_name = service
project_domain_id = default
http_connect_timeout = {timeout}
http_request_max_retries = 0
"""


def of_project(name: str) -> dict[str, Any]:
    """The scope of a token."""
    return {"project": {"name": name, "domain": DOMAIN}}


class Keystone:
    """A client of Keystone, as its admin. ``url`` ends with ``/v3``; ``program`` is its process."""

    def __init__(self, url: str, program: processes.Program) -> None:
        self.url = url
        self.program = program

    @functools.cached_property
    def _token(self) -> str:
        return self.token("admin", of_project("admin"))

    def token(self, user: str, scope: dict[str, Any]) -> str:
        """Return a token of a user."""
        named = {"name": user, "domain": DOMAIN, "password": PASSWORD}
        identity = {"methods": ["password"], "password": {"user": named}}
        answer = requests.post(
            f"{self.url}/auth/tokens",
            json={"auth": {"identity": identity, "scope": scope}},
            timeout=30,
        )
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def authtoken(self, timeout_seconds: int = _PATIENCE_SECONDS) -> str:
        """The section of an API's configuration that names this Keystone; the user ``migprog`` of
        the project ``service`` must exist. Where processors are short Keystone takes its time."""
        return _AUTHTOKEN.format(url=self.url, password=PASSWORD, timeout=timeout_seconds)

    def revoke(self, token: str) -> None:
        self._ask("DELETE", "/auth/tokens", **{"X-Subject-Token": token})

    def knows(self, token: str) -> bool:
        """Return whether a token is valid."""
        headers = {"X-Auth-Token": self._token, "X-Subject-Token": token}
        answer = requests.get(f"{self.url}/auth/tokens", headers=headers, timeout=30)
        return answer.status_code == 200

    def new_role(self, name: str) -> None:
        self._new("role", name=name)

    def new_project(self, name: str) -> str:
        """Return its id."""
        return self._new("project", name=name, domain_id=DOMAIN["id"])

    def new_user(self, name: str, role: str, project_id: str | None) -> str:
        """Create a user with a role in a project, or on the system; return its id."""
        user = self._new("user", name=name, domain_id=DOMAIN["id"], password=PASSWORD)
        self.grant(user, role, project_id)
        return user

    def grant(self, user_id: str, role: str, project_id: str | None) -> None:
        """Give a user a role in a project; without one, on the system."""
        (found,) = self._ask("GET", f"/roles?name={role}")["roles"]
        place = "/system" if project_id is None else f"/projects/{project_id}"
        self._ask("PUT", f"{place}/users/{user_id}/roles/{found['id']}")

    def new_endpoint(self, service_type: str, url: str, public_url: str | None = None) -> None:
        """A service, and where it is; for the public elsewhere, if so."""
        service = self._new("service", name=service_type, type=service_type)
        for interface, place in (("public", public_url or url), ("internal", url)):
            self._new("endpoint", service_id=service, interface=interface, url=place)

    def _new(self, what: str, **values: Any) -> str:
        made: str = self._ask("POST", f"/{what}s", json={what: values})[what]["id"]
        return made

    def _ask(self, method: str, path: str, json: Any = None, **headers: str) -> Any:
        answer = requests.request(
            method,
            self.url + path,
            json=json,
            headers={"X-Auth-Token": self._token, **headers},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


def make(shared: pathlib.Path) -> None:
    """Create Keystone's database with an admin, and its keys."""
    keys = shared / "fernet"
    keys.mkdir(mode=0o700)
    for number in ("0", "1"):
        (keys / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        (keys / number).chmod(0o600)
    conf = _configure(shared, shared, 3600)
    for command in (["db_sync"], ["bootstrap", "--bootstrap-password", PASSWORD]):
        done = subprocess.run(
            [str(BIN / "keystone-manage"), "--config-file", str(conf), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@contextlib.contextmanager
def serving(
    shared: pathlib.Path,
    directory: pathlib.Path,
    expiration_seconds: int = 3600,
) -> Iterator[Keystone]:
    """Run a Keystone on the database of :func:`make`, whose tokens are valid for so long."""
    _configure(shared, directory, expiration_seconds)
    (port,) = processes.free_ports(1)
    with processes.running(
        [str(BIN / "python"), "-W", "ignore", "-c", _SERVE, str(port)],
        directory,
        os.environ | {"OS_KEYSTONE_CONFIG_DIR": str(directory)},
    ) as program:
        processes.wait_for_port(port, 60, program)
        yield Keystone(f"http://127.0.0.1:{port}/v3", program)


def _configure(
    shared: pathlib.Path, directory: pathlib.Path, expiration_seconds: int
) -> pathlib.Path:
    path = directory / "keystone.conf"
    path.write_text(_CONF.format(shared=shared, expiration=expiration_seconds))
    return path

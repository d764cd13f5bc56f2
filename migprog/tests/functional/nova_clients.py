# SPDX-License-Identifier: Apache-2.0
"""Nova's clients as they come, without a Keystone (``auth_type none``) and with one.

A *cloud* is the address of an endpoint that asks for no token, or who logs in where.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import openstack
from keystoneauth1 import access, fixture, identity, noauth, session
from keystoneauth1.identity.access import AccessInfoPlugin
from novaclient import client as nova

from migprog.tests.fixtures.commands import run


@dataclasses.dataclass(frozen=True)
class Answer:
    """Of one command: its exit status and what it said."""

    code: int
    out: str
    err: str

    @property
    def shown(self) -> Any:
        """The document of a command that went well, asked for as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclasses.dataclass(frozen=True)
class Login:
    """Somebody's at a Keystone, for a project; both are in the default domain."""

    auth_url: str
    username: str
    password: str
    project_name: str

    def options(self) -> dict[str, str]:
        """As keystoneauth names them."""
        domains = {"user_domain_id": "default", "project_domain_id": "default"}
        return dataclasses.asdict(self) | domains


Cloud: TypeAlias = str | Login


def _environment(cloud: Cloud) -> dict[str, str]:
    # migration list wants to be sure that it could ask for a project by its name.
    told = {"OS_IDENTITY_API_VERSION": "3"}
    if isinstance(cloud, str):
        return told | {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": cloud}
    return told | {f"OS_{name.upper()}": value for name, value in cloud.options().items()}


def _session(cloud: Cloud) -> Any:
    if isinstance(cloud, str):
        return session.Session(auth=noauth.NoAuth(endpoint=cloud))
    return session.Session(auth=identity.V3Password(**cloud.options()))


def run_openstack(cloud: Cloud, *commands: str) -> list[Answer]:
    """Run ``openstack`` commands in their order; words are parted by blanks."""
    given = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    environment = given | _environment(cloud)
    done = (run("openstack", *command.split(), environment=environment) for command in commands)
    return [Answer(each.returncode, each.stdout, each.stderr) for each in done]


def json_of(cloud: Cloud, commands: Sequence[str]) -> list[Any]:
    """What commands show, as documents."""
    answers = run_openstack(cloud, *(f"{command} -f json" for command in commands))
    return [answer.shown for answer in answers]


def sdk(cloud: Cloud) -> Any:
    """openstacksdk's compute proxy."""
    at = {"compute_endpoint_override": cloud} if isinstance(cloud, str) else {}
    return openstack.connection.Connection(session=_session(cloud), **at).compute


def sdk_by_catalog(endpoint: str) -> Any:
    """The same, by a Keystone's catalog in which compute is at ``endpoint``."""
    token = fixture.V3Token()
    token.set_project_scope(id="c0ffee")
    token.add_service("compute").add_standard_endpoints(public=endpoint, region="here")
    auth = AccessInfoPlugin(access.create(body=token, auth_token="any"))
    return openstack.connection.Connection(session=session.Session(auth=auth)).compute


def novaclient(cloud: Cloud, version: str) -> Any:
    """novaclient's Python API, speaking a microversion."""
    at = {"endpoint_override": cloud} if isinstance(cloud, str) else {}
    return nova.Client(version, session=_session(cloud), **at)

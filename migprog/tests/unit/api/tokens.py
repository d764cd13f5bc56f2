# SPDX-License-Identifier: Apache-2.0
"""Tokens of every kind, and a stand-in for Keystone that knows them."""

from collections.abc import Callable, Iterable
from typing import Any

import webob
from falcon import testing
from oslo_policy import opts as policy_opts

from migprog import objects
from migprog.api import app
from migprog.api.action_requests import Actions
from migprog.api.resource import Application
from migprog.tests.unit.api.conftest import client_of, configuration

PROJECT, ELSEWHERE = "c0ffee", "0ddba11"


def _in_project(roles: str, project: str = PROJECT) -> dict[str, str]:
    return {"HTTP_X_ROLES": roles, "HTTP_X_PROJECT_ID": project, "HTTP_X_USER_ID": "somebody"}


_SYSTEM = {"HTTP_OPENSTACK_SYSTEM_SCOPE": "all", "HTTP_X_USER_ID": "somebody"}

# What keystonemiddleware makes of each; implied roles are spelled out, as it does.
TOKENS: dict[str, dict[str, str]] = {
    "none": _in_project(""),
    "odd": _in_project("load-balancer,swiftoperator"),
    "other": _in_project("member,reader", ELSEWHERE),
    "other-manager": _in_project("manager,member,reader", ELSEWHERE),
    "reader": _in_project("reader"),
    "member": _in_project("member,reader"),
    "manager": _in_project("manager,member,reader"),
    "admin": _in_project("admin,manager,member,reader"),
    "loud": _in_project("reader,ADMIN"),
    "other-admin": _in_project("admin,manager,member,reader", ELSEWHERE),
    "system-reader": _SYSTEM | {"HTTP_X_ROLES": "reader"},
    "system-none": _SYSTEM | {"HTTP_X_ROLES": ""},
    "domain-admin": {"HTTP_X_DOMAIN_ID": "default", "HTTP_X_ROLES": "admin,manager,member,reader"},
    "unscoped": {"HTTP_X_USER_ID": "somebody", "HTTP_X_ROLES": "admin,reader"},
}
_HEADERS = {"HTTP_X_IDENTITY_STATUS", *(name for each in TOKENS.values() for name in each)}


class FakeKeystone:
    """As keystonemiddleware at its edges: knows a few tokens, and lets no client forge its headers.

    ``lenient``: as with ``delay_auth_decision``, requests without a good token go on.
    """

    def __init__(self, app: Application, lenient: bool = False) -> None:
        self._app = app
        self._lenient = lenient

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        for name in _HEADERS:
            environ.pop(name, None)
        token = environ.get("HTTP_X_AUTH_TOKEN")
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed" if token in TOKENS else "Invalid"
        if token in TOKENS:
            environ |= TOKENS[token]
        elif not self._lenient:
            error = {"error": {"code": 401, "title": "Unauthorized", "message": "no"}}
            return webob.Response(json=error, status=401)(environ, start_response)
        return self._app(environ, start_response)


def keystone_client(
    store: objects.Store,
    connection: str,
    lenient: bool = False,
    actions: Actions | None = None,
    **policy: Any,
) -> testing.TestClient:
    """A client behind that Keystone; ``policy``: options of ``[oslo_policy]``."""
    conf = configuration(connection, auth_strategy="keystone")
    policy_opts.set_defaults(conf)
    for name, value in policy.items():
        conf.set_override(name, value, "oslo_policy")
    return client_of(app.create(conf, store, lambda app: FakeKeystone(app, lenient), actions))

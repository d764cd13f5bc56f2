# SPDX-License-Identifier: Apache-2.0
"""The application over SQLite, asked in a microversion; and actions that note what is asked."""

import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from falcon import testing

from migprog import objects
from migprog.api import app
from migprog.context import RequestContext
from migprog.core.actions import Action
from migprog.tests.unit.api.conftest import client_of, configuration

NOBODY = str(uuid.UUID(int=99))
V = "/v2.1"
NOT_FOUND = "The resource could not be found."
BASE = "http://localhost"

Ask: TypeAlias = Callable[..., testing.Result]


class Asked:
    """Actions that do nothing but note: (what, the migration's UUID)."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def ask(self, ctxt: RequestContext, action: Action, migration: objects.Migration) -> None:
        assert ctxt.request_id.startswith("req-")
        self.noted.append((action.value, migration.uuid))


def asking(client: testing.TestClient) -> Ask:
    """Asks ``client`` for a path below ``/v2.1``, in a version; None: it says none."""

    def ask(
        path: str, version: str | None = "2.104", method: str = "GET", **more: Any
    ) -> testing.Result:
        headers = more.pop("headers", {})
        if method == "POST":
            headers = {"Content-Type": "application/json"} | headers
        if version is not None:
            headers = {"OpenStack-API-Version": f"compute {version}"} | headers
        return client.simulate_request(method, V + path, headers=headers, **more)

    return ask


@pytest.fixture
def ask(client: testing.TestClient) -> Ask:
    return asking(client)


@pytest.fixture
def actions() -> Asked:
    return Asked()


@pytest.fixture
def ask_to_act(store: objects.Store, connection: str, actions: Asked) -> Ask:
    """As ``ask``, where something may be done to migrations."""
    return asking(client_of(app.create(configuration(connection), store, actions=actions)))


def refusal(answer: testing.Result) -> tuple[int, str, str]:
    """The code of an error, which its body must repeat, its name and its message."""
    ((name, error),) = answer.json.items()
    assert set(error) == {"code", "message"}
    assert error["code"] == answer.status_code
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    return answer.status_code, name, error["message"]

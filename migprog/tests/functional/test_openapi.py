# SPDX-License-Identifier: Apache-2.0
"""Schemathesis asks the API, over each database, for what its document says and for what it does
not: no answer is one that is not documented, and none is an error of ours."""

import os
import uuid

import hypothesis
import pytest
import schemathesis
from oslo_config import cfg
from schemathesis import checks

from migprog import objects
from migprog.api import app
from migprog.conf import api as api_conf
from migprog.core.messages import Agent, Batch
from migprog.core.status import Phase, Status
from migprog.db import connections
from migprog.tests import answers, stores
from migprog.tests.unit.api.nova.conftest import Asked

pytestmark = pytest.mark.functional

_EXAMPLES = int(os.environ.get("MIGPROG_SCHEMATHESIS_EXAMPLES", "12"))
_SERVER = str(uuid.UUID(int=1))
_THERE = {
    "server_id": _SERVER,
    "server_uuid": _SERVER,
    "host": "a",
    "project_id": "p",
    "number": "1",
    "id_or_uuid": "1",
}


# Each speaks its own SQL; SQLite is the one that no cloud has.
_DATABASES = [pytest.param("sqlite", marks=pytest.mark.long), "mariadb", "postgresql"]


@pytest.fixture(scope="module", params=_DATABASES)
def api(request, tmp_path_factory):
    """The application, as it is, over a store with a few migrations."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('openapi')}/migprog.sqlite"
    else:
        url = request.getfixturevalue(f"{request.param}_server").new_database()
    store = stores.ready(url)
    for status in (Status.RUNNING, Status.COMPLETED):
        phase = Phase.DONE if status is Status.COMPLETED else Phase.MEMORY_ITERATIONS
        report = stores.report(
            status=status,
            phase=phase,
            server_uuid=_SERVER,
            project_id="p",
            started_at=stores.START - len(status),
        )
        agent = Agent(
            version="1",
            started_at=1.0,
            report_interval_seconds=5,
            heartbeat_interval_seconds=30,
            migrations=1,
        )
        batch = Batch(host="a", node="a.lab", reports=(report,), agent=agent)
        objects.store_batch(store, batch, stores.START)
    conf = cfg.ConfigOpts()
    conf.register_opts(api_conf.OPTS, api_conf.GROUP.name)
    connections.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("auth_strategy", "noauth", "api")
    application = answers.checked(app.create(conf, store, actions=Asked()))
    yield lambda environ, start: application({**environ, "REMOTE_ADDR": "127.0.0.1"}, start)
    store.close()


_OPERATIONS = [
    (path, method) for path, item in answers.document()["paths"].items() for method in item
]
# 501 and 503 are documented where they may be; 500 is nowhere.
checks.load_all_checks()
_CHECKS = [
    checks.CHECKS.get_one(name)
    for name in (
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
]


@pytest.mark.parametrize(("path", "method"), _OPERATIONS)
def test_no_answer_is_a_surprise(api, path, method):
    schema = schemathesis.openapi.from_wsgi("/openapi.json", api)

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=_EXAMPLES,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=schema[path][method.upper()].as_strategy(
            generation_mode=schemathesis.GenerationMode.NEGATIVE
        )
        | schema[path][method.upper()].as_strategy()
    )
    def ask(case):
        # Nobody guesses what is there; so that something is found, every other one asks for it.
        if len(str(case)) % 2:
            there = {name: _THERE[name] for name in case.path_parameters if name in _THERE}
            case.path_parameters.update(there)
        case.call_and_validate(checks=_CHECKS)

    ask()

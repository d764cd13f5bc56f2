# SPDX-License-Identifier: Apache-2.0
"""The conductor over oslo.messaging's transport in memory."""

import pytest
from oslo_config import cfg
from oslo_messaging import conffixture

from migprog import exception, rpc
from migprog.conductor.service import ConductorService
from migprog.conf import conductor as conductor_conf
from migprog.conf import notifications as notifications_conf
from migprog.core.messages import Ack, Batch
from migprog.db import connections
from migprog.rpc.conductor import ConductorAPI
from migprog.tests import stores


@pytest.fixture
def conf(tmp_path):
    """cfg.CONF: oslo.messaging works with no other."""
    conf = cfg.CONF
    conf([], default_config_files=[], default_config_dirs=[])
    fixture = conffixture.ConfFixture(conf, transport_url="fake://")
    fixture.setUp()
    conductor_conf.register_opts(conf)
    notifications_conf.register_opts(conf)
    connections.register_opts(conf)
    conf.set_override("connection", f"sqlite:///{tmp_path}/migprog.sqlite", "database")
    yield conf
    conf.clear_override("connection", "database")
    fixture.cleanUp()
    conf.reset()


def test_a_report_is_stored_and_acknowledged(conf):
    store = stores.ready(conf.database.connection)
    service = ConductorService(conf, "fake://")
    service.start()
    transport = rpc.transport(conf)
    agent = ConductorAPI(transport, call_timeout_seconds=30)
    report = stores.report(server_name="Ω")
    batch = Batch(host="a", node="a.example.org", reports=(report,))
    answer = agent.report(batch.to_wire(), acknowledged=True)
    assert Ack.from_wire(answer) == Ack()
    assert stores.migration(store, report).server_name == "Ω"
    service.stop()
    transport.cleanup()


def test_old_tables_are_an_error_at_the_start(conf):
    service = ConductorService(conf, "fake://")
    with pytest.raises(exception.ConfigError, match="migprog-manage db sync"):
        service.start()
    service.stop()


def test_missing_connection_option_is_an_error_at_the_start(conf):
    conf.set_override("connection", None, "database")
    service = ConductorService(conf, "fake://")
    with pytest.raises(exception.ConfigError, match=r"\[database\] connection"):
        service.start()
    service.stop()

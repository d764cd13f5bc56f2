# SPDX-License-Identifier: Apache-2.0
"""``migprog-conductor`` as a process, which asks Nova beside its work: on both backends, with a
real broker, and a stand-in for Nova that does not answer."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
import requests

from lab.parts import processes
from lab.parts.deployment import wait_for_output
from migprog import objects
from migprog.core.messages import Ack, Batch
from migprog.tests import stores
from migprog.tests.fixtures.nova import NovaApi, record

pytestmark = pytest.mark.functional

_MAIN = "import sys; from migprog.cmd.conductor import main; sys.exit(main())"
_CONF = """
[DEFAULT]
transport_url = {broker}
[database]
connection = {database}
[conductor]
metrics_bind_port = {metrics}
[nova]
auth_type = none
endpoint_override = {nova}
timeout = 60
"""
# An agent that has one report after the other acknowledged: it waits for each.
_AGENT = """
import json, sys
from oslo_config import cfg
from migprog import rpc
from migprog.rpc.conductor import ConductorAPI
cfg.CONF([], default_config_files=[], default_config_dirs=[])
conductor = ConductorAPI(rpc.transport(cfg.CONF, sys.argv[1]), 30)
for batch in json.load(sys.stdin):
    print(json.dumps(conductor.report(batch, acknowledged=True)))
"""


@pytest.fixture
def nova() -> Iterator[NovaApi]:
    nova = NovaApi()
    with nova.serving():
        yield nova


def report_all(broker: str, reports: list) -> list[Ack]:
    """Send each report in a batch of its own; return the conductor's answers."""
    batches = [
        Batch(host="source", node="source.example.org", reports=(each,)).to_wire()
        for each in reports
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _AGENT, broker],
        input=json.dumps(batches),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ack.from_wire(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("concurrency", ["eventlet", "threading"])
def test_hanging_nova_delays_no_report(tmp_path, rabbitmq, nova, concurrency) -> None:
    database = f"sqlite:///{tmp_path}/migprog.sqlite"
    store = stores.ready(database)
    (metrics,) = processes.free_ports(1)
    path = tmp_path / "migprog.conf"
    path.write_text(
        _CONF.format(broker=rabbitmq, database=database, metrics=metrics, nova=nova.url)
    )
    reports = [stores.report() for _ in range(40)]
    theirs = {each.server_uuid: str(uuid.uuid4()) for each in reports}
    nova.records = [
        record(each.server_uuid, number, theirs[each.server_uuid], stores.at(each.started_at - 3))
        for number, each in enumerate(reports, 1001)
    ]
    nova.awake.clear()
    with processes.running(
        [sys.executable, "-W", "ignore", "-c", _MAIN, "--config-file", str(path)],
        tmp_path,
        os.environ | {"MIGPROG_CONCURRENCY": concurrency},
    ) as conductor:
        wait_for_output(conductor, "takes reports")
        answers = report_all(rabbitmq, reports)
        # All of them, and Nova has been asked once and has not said a word.
        assert answers == [Ack()] * len(reports)
        processes.wait_for(lambda: nova.asked, 20, "Nova to be asked")
        assert len(nova.asked) == 1
        nova.awake.set()

        def counted() -> bool:
            told = requests.get(f"http://127.0.0.1:{metrics}/metrics", timeout=10).text
            return 'migprog_nova_id_lookups_total{outcome="named"} 40.0' in told

        processes.wait_for(counted, 30, "all of them to be named")
        assert conductor.stop() == 0
        assert "Traceback" not in conductor.output()
    for number, each in enumerate(reports, 1001):
        named = stores.migration(store, each)
        assert (named.nova_id, named.nova_uuid) == (number, theirs[each.server_uuid])
    # Those that waited were asked for together.
    assert len(nova.asked) < len(objects.Migration.list(store)) == 40
    store.close()

# SPDX-License-Identifier: Apache-2.0
"""What ``migprog-conductor`` as a process tells Prometheus, on both backends."""

import os
import sys

import pytest
import requests

from lab.parts import processes
from migprog.core.schedule import Reason
from migprog.core.status import ENDED
from migprog.tests import stores

# A broker that is away: nothing listens there.
CONFIG = """
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/
[database]
connection = {database}
[conductor]
metrics_listen = {listen}
"""
MAIN = "import sys; from migprog.cmd.conductor import main; sys.exit(main())"


@pytest.fixture
def conductor(tmp_path):
    """Runs conductors that serve metrics at an address."""
    database = f"sqlite:///{tmp_path}/migprog.sqlite"
    stores.ready(database).close()

    def run(listen, concurrency="threading"):
        path = tmp_path / "migprog.conf"
        path.write_text(CONFIG.format(database=database, listen=listen))
        return processes.running(
            [sys.executable, "-W", "ignore", "-c", MAIN, "--config-file", str(path)],
            tmp_path,
            os.environ | {"MIGPROG_CONCURRENCY": concurrency},
        )

    return run


@pytest.mark.parametrize("concurrency", ["eventlet", "threading"])
def test_every_series_is_there_from_the_start(conductor, concurrency):
    (port,) = processes.free_ports(1)
    with conductor(f"127.0.0.1:{port}", concurrency) as program:
        processes.wait_for_port(port, 60, program)
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
        assert program.stop() == 0
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert "migprog_reports_stored_total 0.0" in lines
    for status in ENDED:
        assert f'migprog_migrations_ended_total{{status="{status}"}} 0.0' in lines
    for at in (25, 50, 75):
        assert f'migprog_forecast_error_ratio_count{{at="{at}"}} 0.0' in lines
        assert f'migprog_forecast_error_ratio_bucket{{at="{at}",le="0.02"}} 0.0' in lines
        for held in ("yes", "no", "none"):
            assert f'migprog_forecast_in_range_total{{at="{at}",held="{held}"}} 0.0' in lines
    assert all(line.startswith(("#", "migprog_")) for line in lines), "and nobody else's"


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("9090", "[conductor] metrics_listen: '9090' must be ADDRESS:PORT"),
        ("127.0.0.1:70000", "[conductor] metrics_listen: '127.0.0.1:70000' must be ADDRESS:PORT"),
        ("192.0.2.1:9090", "[conductor] metrics_listen: "),
    ],
)
def test_where_nobody_can_listen_is_told_at_the_start(conductor, listen, said):
    with conductor(listen) as program:
        assert program.process.wait(60) == 1
    assert f"migprog-conductor: {said}" in program.output()
    assert "Traceback" not in program.output()


AGENT = """
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/
[compute]
connection_uri = qemu+unix:///system?socket={directory}/nobody
metrics_listen = 127.0.0.1:{port}
"""
AGENT_MAIN = MAIN.replace("cmd.conductor", "cmd.compute")


@pytest.mark.parametrize("concurrency", ["eventlet", "threading"])
def test_an_agent_tells_of_itself_even_without_its_libvirt(tmp_path, concurrency):
    (port,) = processes.free_ports(1)
    path = tmp_path / "migprog.conf"
    path.write_text(AGENT.format(directory=tmp_path, port=port))
    with processes.running(
        [sys.executable, "-W", "ignore", "-c", AGENT_MAIN, "--config-file", str(path)],
        tmp_path,
        os.environ | {"MIGPROG_CONCURRENCY": concurrency},
    ) as program:
        processes.wait_for_port(port, 60, program)
        lines = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
        assert program.stop() == 0
    for reason in Reason:
        assert f'migprog_reports_sent_total{{reason="{reason}"}} 0.0' in lines
    assert not any(line.startswith("migprog_reports_stored") for line in lines)

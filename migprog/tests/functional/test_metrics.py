# SPDX-License-Identifier: Apache-2.0
"""What each process shows Prometheus, on both backends; promtool has nothing to say against it."""

import os
import pathlib
import subprocess
import sys

import pytest
import requests

from lab.parts import processes
from migprog.core.schedule import ReportReason
from migprog.core.status import ENDED
from migprog.tests import stores

pytestmark = pytest.mark.functional

# A broker and a libvirt that are away: nothing listens there.
CONFIG = """
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/
[database]
connection = sqlite:///{directory}/migprog.sqlite
[compute]
connection_uri = qemu+unix:///system?socket={directory}/none
state_path = {directory}/state
[api]
auth_strategy = noauth
bind_port = {api}
[{group}]
metrics_bind_host = {host}
metrics_bind_port = {port}
"""
MAIN = "import sys; from migprog.cmd.{} import main; sys.exit(main())"
BACKENDS = ("eventlet", "threading")


class Process:
    """Runs a process that serves metrics at an address, if it can."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self.port, self.api_port = processes.free_ports(2)
        stores.ready(f"sqlite:///{directory}/migprog.sqlite").close()

    def run(
        self,
        group: str,
        backend: str = "threading",
        host: str = "127.0.0.1",
        port: int | str | None = None,
    ):
        path = self._directory / "migprog.conf"
        values = {"group": group, "api": self.api_port, "directory": self._directory}
        path.write_text(
            CONFIG.format(host=host, port=self.port if port is None else port, **values)
        )
        command = [sys.executable, "-W", "ignore", "-c", MAIN.format(group)]
        return processes.running(
            [*command, "--config-file", str(path)],
            self._directory,
            os.environ | {"MIGPROG_CONCURRENCY": backend},
        )

    def text(self, program: processes.Program) -> requests.Response:
        processes.wait_for_port(self.port, 60, program)
        return requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10)


@pytest.fixture
def process(tmp_path: pathlib.Path) -> Process:
    return Process(tmp_path)


def promtool(text: str) -> str:
    """What Prometheus' own tool has to say against metrics."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    return done.stdout + done.stderr + (f"status {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize("backend", BACKENDS)
def test_conductor_shows_every_series_from_its_start(process: Process, backend: str) -> None:
    with process.run("conductor", backend) as program:
        answer = process.text(program)
        assert program.stop() == 0
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert "migprog_reports_stored_total 0.0" in lines
    for status in ENDED:
        assert f'migprog_migrations_ended_total{{status="{status}"}} 0.0' in lines
        assert f'migprog_migration_downtime_seconds_count{{status="{status}"}} 0.0' in lines
    for at in (25, 50, 75):
        assert f'migprog_forecast_error_ratio_count{{at="{at}"}} 0.0' in lines
        assert f'migprog_forecast_error_ratio_bucket{{at="{at}",le="0.02"}} 0.0' in lines
        for in_range in ("yes", "no", "none"):
            assert (
                f'migprog_forecast_in_range_total{{at="{at}",in_range="{in_range}"}} 0.0' in lines
            )
    assert all(line.startswith(("#", "migprog_")) for line in lines), "and nobody else's"
    assert promtool(answer.text) == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_agent_shows_itself_without_its_libvirt(process: Process, backend: str) -> None:
    with process.run("compute", backend) as program:
        shown = ("migprog_libvirt_up{", "migprog_state_path_free_bytes{")

        def page() -> str:
            text = process.text(program).text
            return text if all(each in text for each in shown) else ""

        text = processes.wait_for(page, 30, "libvirt and the state directory to be shown")
        assert program.stop() == 0
    lines = text.splitlines()
    for reason in ReportReason:
        assert f'migprog_reports_sent_total{{reason="{reason}"}} 0.0' in lines
    by_agent = {
        line.partition("{")[0]: line.rpartition(" ")[2] for line in lines if "_uri=" in line
    }
    assert float(by_agent.pop("migprog_state_path_free_bytes")) > 2**20
    assert float(by_agent.pop("migprog_agent_loop_age_seconds")) >= 0
    assert by_agent == {
        "migprog_libvirt_up": "0.0",
        "migprog_oldest_unacknowledged_report_age_seconds": "0.0",
        "migprog_state_path_failing": "0.0",
    }
    assert not any(line.startswith("migprog_reports_stored") for line in lines)
    assert promtool(text) == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_api_shows_the_requests_that_it_answered(process: Process, backend: str) -> None:
    with process.run("api", backend) as program:
        processes.wait_for_port(process.api_port, 60, program)
        for path in ("migrations", "healthcheck", "metrics"):
            requests.get(f"http://127.0.0.1:{process.api_port}/{path}", timeout=10)
        text = process.text(program).text
        assert program.stop() == 0
    requests_of = [line for line in text.splitlines() if line.startswith("migprog_http_requests_")]
    assert requests_of == [
        'migprog_http_requests_total{code="200",method="GET",route="/migrations"} 1.0',
        'migprog_http_requests_total{code="200",method="GET",route="/healthcheck"} 1.0',
        # The metrics are not at the address that clients reach.
        'migprog_http_requests_total{code="404",method="GET",route="unmatched"} 1.0',
    ]
    assert "migprog_http_long_polls 0.0" in text.splitlines()
    assert promtool(text) == ""


def test_promtool_finds_what_breaks_the_conventions() -> None:
    assert "_total" in promtool(
        "# HELP x_reports Reports.\n# TYPE x_reports counter\nx_reports 1\n"
    )


@pytest.mark.parametrize(
    ("group", "host", "port", "said"),
    [
        ("compute", "[::1]", "9090", "metrics_bind_host: "),
        ("conductor", "127.0.0.1", "70000", "metrics_bind_port: "),
        ("api", "192.0.2.1", "9090", "metrics_bind_port: "),
    ],
)
def test_address_where_nothing_can_listen_ends_the_start(
    process: Process, group: str, host: str, port: str, said: str
) -> None:
    with process.run(group, host=host, port=port) as program:
        assert program.process.wait(60) == 1
    assert f"migprog-{group}: [{group}] {said}" in program.output()
    assert "Traceback" not in program.output()


_SHARED = """
import sys
import textwrap
from falcon import testing
from migprog import wsgi
client = testing.TestClient(wsgi.application)
for _ in range(int(sys.argv[1])):
    client.simulate_get("/healthcheck", host="localhost", remote_addr="127.0.0.1")
"""
_SHOWN = """
from falcon import testing
from migprog import metrics
print(testing.TestClient(metrics.application).simulate_get("/metrics").text)
"""


def test_processes_of_another_server_are_shown_together(
    process: Process, tmp_path: pathlib.Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with process.run("api") as program:
        processes.wait_for_port(process.api_port, 60, program)
    environment = os.environ | {
        "PROMETHEUS_MULTIPROC_DIR": str(shared),
        "MIGPROG_CONFIG_FILE": str(tmp_path / "migprog.conf"),
    }
    texts = [
        subprocess.run(
            [sys.executable, "-c", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for arguments in ((_SHARED, "3"), (_SHARED, "4"), (_SHOWN,))
    ]
    (line,) = (x for x in texts[-1].splitlines() if x.startswith("migprog_http_requests_total{"))
    assert line.endswith(" 7.0") and 'route="/healthcheck"' in line
    assert promtool(texts[-1]) == ""

# SPDX-License-Identifier: Apache-2.0
"""Each process starts and stops on threads without eventlet, and says nothing but its log."""

import os
import pathlib
import sys

import pytest
import requests

from lab.parts import processes
from migprog.tests import stores
from migprog.tests.fixtures import no_eventlet

pytestmark = pytest.mark.functional

# Nothing listens where the others should be.
CONFIG = """
[DEFAULT]
log_file = {directory}/process.log
use_stderr = false
transport_url = rabbit://guest:guest@127.0.0.1:1/
[database]
connection = sqlite:///{directory}/migprog.sqlite
[api]
bind_port = {port}
allow_actions = true
[conductor]
metrics_bind_port = {metrics}
[compute]
connection_uri = qemu+unix:///system?socket={directory}/none
state_path = {directory}/state
metrics_bind_port = {metrics}
allow_actions = true
[nova]
auth_type = password
auth_url = http://127.0.0.1:1/v3
username = migprog
password = secret
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
www_authenticate_uri = http://127.0.0.1:1/v3
username = migprog
password = secret
"""
# The names of the threads that log, in brackets before each message.
NAMED = {
    "api": "] [start] [api] bind_port: listening on",
    "compute": "] [start] [compute] metrics_bind_port: listening on",
    "conductor": "] [start] [conductor] metrics_bind_port: listening on",
    "standalone": "] [start] [api] bind_port: listening on",
}


@pytest.fixture
def ports(tmp_path: pathlib.Path) -> tuple[int, int]:
    port, metrics = processes.free_ports(2)
    stores.ready(f"sqlite:///{tmp_path}/migprog.sqlite").close()
    path = tmp_path / "migprog.conf"
    path.write_text(CONFIG.format(directory=tmp_path, port=port, metrics=metrics))
    return port, metrics


@pytest.mark.parametrize("name", NAMED)
def test_process_runs_on_threads_alone(
    tmp_path: pathlib.Path, ports: tuple[int, int], name: str
) -> None:
    command = [str(pathlib.Path(sys.executable).with_name(f"migprog-{name}"))]
    if name == "standalone":
        command += ["--state-path", str(tmp_path / "standalone")]
    environment = no_eventlet.environment(tmp_path, os.environ)
    command += ["--config-file", str(tmp_path / "migprog.conf")]
    serves = ports[0] if name in ("api", "standalone") else ports[1]
    with processes.running(command, tmp_path, environment) as program:
        processes.wait_for_port(serves, 60, program)
        requests.get(f"http://127.0.0.1:{serves}/healthcheck", timeout=30)
        assert program.stop() == 0
        assert program.output() == ""
    assert no_eventlet.imported(tmp_path) == []
    log = (tmp_path / "process.log").read_text()
    assert NAMED[name] in log
    assert " INFO migprog.service [-] [MainThread] SIGTERM: stopping" in log


def test_api_in_another_server_runs_on_threads_alone(
    tmp_path: pathlib.Path, ports: tuple[int, int]
) -> None:
    environment = no_eventlet.environment(tmp_path, os.environ) | {
        "MIGPROG_CONFIG_FILE": str(tmp_path / "migprog.conf")
    }
    command = [sys.executable, "-c", "from migprog.wsgi import application"]
    with processes.running(command, tmp_path, environment) as program:
        assert program.process.wait(60) == 0
        assert program.output() == ""
    assert no_eventlet.imported(tmp_path) == []

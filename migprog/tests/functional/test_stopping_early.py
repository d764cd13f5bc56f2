# SPDX-License-Identifier: Apache-2.0
"""Every process ends soon when it is stopped during its start, and says what it waits
for: a party that takes connections and says nothing, before any deadline has passed."""

import pathlib
import signal
import socket
import sys
import threading

import pytest

from lab.parts import processes
from migprog.tests import stores

pytestmark = [pytest.mark.functional, pytest.mark.timeout(120)]

BIN = pathlib.Path(sys.executable).parent
# No process may wait for its party as long as this.
PATIENCE_SECONDS = 60
API = "[api]\nauth_strategy = noauth\nbind_port = 0\n"


class Silent:
    """A server that takes connections and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._taken: list[socket.socket] = []
        self.is_asked = threading.Event()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            self._taken.append(self._listener.accept()[0])
            self.is_asked.set()


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
def sqlite(tmp_path):
    url = f"sqlite:///{tmp_path}/migprog.sqlite"
    stores.ready(url).close()
    return f"[database]\nconnection = {url}\n"


def _transport(port):
    return f"[DEFAULT]\ntransport_url = rabbit://guest:guest@127.0.0.1:{port}/\n"


def _connection(port):
    connection = f"connection = mysql+pymysql://u:p@127.0.0.1:{port}/x"
    return f"[database]\n{connection}\n[database_timeouts]\nconnect = {PATIENCE_SECONDS}\n"


@pytest.mark.parametrize(
    ("command", "party"),
    [
        ("migprog-conductor", "database"),
        ("migprog-conductor", "broker"),
        ("migprog-api", "database"),
        ("migprog-standalone", "database"),
    ],
)
def test_process_names_the_party_that_its_start_waits_for(command, party, silent, sqlite, tmp_path):
    config = tmp_path / "early.conf"
    database = _connection(silent.port) if party == "database" else sqlite
    config.write_text(_transport(silent.port) + database + API)
    line = [str(BIN / command), "--config-file", str(config)]
    if command == "migprog-standalone":
        line += ["--state-path", str(tmp_path / "state")]
    with processes.running(line, tmp_path) as program:
        assert silent.is_asked.wait(60), program.output()
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(PATIENCE_SECONDS / 2)
        last = program.output().splitlines()[-1]
    name = "database mysql " if party == "database" else "message broker "
    assert f"waiting for: {name}127.0.0.1:{silent.port}" in last
    # A broker is given up after kombu's 5 s.
    assert "no answer for" in last or party == "broker"
    assert program.process.returncode == 0

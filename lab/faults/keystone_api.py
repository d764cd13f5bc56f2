# SPDX-License-Identifier: Apache-2.0
"""An API behind a real Keystone that can hang."""

import contextlib
import pathlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import requests

from lab.parts import keystone, processes
from lab.parts.keystone import Keystone, of_project

_START_SECONDS = 60.0
# As many as the API has threads.
_UNKNOWN_TOKENS = 16
_CONF = """
[database]
connection = {database}
[api]
bind_port = {port}
"""


@dataclass(frozen=True, slots=True)
class KeystoneApi:
    """``token`` is an administrator's."""

    url: str
    keystone: Keystone
    token: str

    @contextlib.contextmanager
    def keystone_hung(self) -> Iterator[None]:
        """Stop Keystone during the block, while the API gets unknown tokens.

        Raises :class:`RuntimeError` when the API does not serve all that needs no Keystone.
        """
        asking = [
            threading.Thread(target=self._get, args=("/migrations", f"unknown-{number}"))
            for number in range(_UNKNOWN_TOKENS)
        ]
        # Validate this token now: the API caches that for five minutes.
        self._get("/migrations", self.token)
        self.keystone.program.process.send_signal(signal.SIGSTOP)
        try:
            for thread in asking:
                thread.start()
            yield
            found = self._get("/healthcheck"), self._get("/migrations", self.token)
        finally:
            self.keystone.program.process.send_signal(signal.SIGCONT)
        for thread in asking:
            thread.join()
        if found != (200, 200):
            raise RuntimeError(f"while Keystone hung, healthcheck and a list answered {found}")

    def _get(self, path: str, token: str | None = None) -> int:
        headers = {} if token is None else {"X-Auth-Token": token}
        return requests.get(self.url + path, headers=headers, timeout=60).status_code


@contextlib.contextmanager
def keystone_api(directory: pathlib.Path, database_url: str) -> Iterator[KeystoneApi]:
    """Start a Keystone, and an API behind it over a database."""
    directory.mkdir()
    keystone.make(directory)
    (port,) = processes.free_ports(1)
    with contextlib.ExitStack() as stack:
        identity = stack.enter_context(keystone.serving(directory, directory))
        identity.new_user("migprog", "service", identity.new_project("service"))
        # keystonemiddleware looks for Keystone in its own catalog.
        identity.new_endpoint("identity", identity.url)
        config = directory / "migprog.conf"
        config.write_text(_CONF.format(database=database_url, port=port) + identity.authtoken(10))
        command = pathlib.Path(sys.executable).with_name("migprog-api")
        words = [str(command), "--config-file", str(config)]
        api = stack.enter_context(processes.running(words, directory))
        processes.wait_for_port(port, _START_SECONDS, api)
        token = identity.token("admin", of_project("admin"))
        behind_keystone = KeystoneApi(f"http://127.0.0.1:{port}", identity, token)
        answer = requests.get(
            f"{behind_keystone.url}/migrations", headers={"X-Auth-Token": token}, timeout=60
        )
        answer.raise_for_status()
        yield behind_keystone

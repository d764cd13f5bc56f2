# SPDX-License-Identifier: Apache-2.0
"""migprog as it is deployed: an agent for each host, conductor and API as processes."""

import contextlib
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any, Self

import requests

from migprog.tests.functional import processes
from migprog.tests.lab import Host

_START_SECONDS = 60.0
_ENDED = {"completed", "failed", "cancelled", "unknown"}


class Deployment:
    """Starts migprog's processes over a broker and a database; stops them with the block."""

    def __init__(
        self, directory: pathlib.Path, transport_url: str, database_url: str, concurrency: str
    ) -> None:
        self.directory = directory
        self._environment = os.environ | {"MIGPROG_CONCURRENCY": concurrency}
        self._transport_url = transport_url
        self._database_url = database_url
        self._stack = contextlib.ExitStack()
        self.agents: dict[str, processes.Program] = {}
        self._port, self._metrics_port = processes.free_ports(2)
        self.api = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        controller = self._config(
            "controller",
            f"[database]\nconnection = {self._database_url}\n"
            f"[api]\nauth_strategy = noauth\nlisten = 127.0.0.1:{self._port}\n"
            f"[conductor]\nmetrics_listen = 127.0.0.1:{self._metrics_port}\n",
        )
        with processes.running(
            [_command("migprog-manage"), "--config-file", str(controller), "db", "sync"],
            self.directory,
            self._environment,
        ) as manage:
            if manage.process.wait(_START_SECONDS) != 0:
                raise RuntimeError(manage.output())
        self.conductor = self._run("migprog-conductor", controller)
        api = self._run("migprog-api", controller)
        processes.wait_for_port(self._port, _START_SECONDS, api)
        processes.wait_for_port(self._metrics_port, _START_SECONDS, self.conductor)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def agent(self, host: Host, **options: Any) -> processes.Program:
        """Start a host's agent and wait until it watches; ``options`` are those of [compute]."""
        agent = self._run("migprog-compute", self.agent_config(host, **options))

        def watches() -> bool:
            agent.check()
            return f"watching the migrations of {host.name}" in agent.output()

        processes.wait_for(watches, _START_SECONDS, f"the agent of {host.name}")
        self.agents[host.name] = agent
        return agent

    def agent_config(self, host: Host, **options: Any) -> pathlib.Path:
        """Write a host's configuration file."""
        options = {"state_dir": self.directory / "state"} | options
        lines = "".join(f"{name} = {value}\n" for name, value in options.items())
        return self._config(host.name, f"[compute]\nlibvirt_uri = {host.uri}\n{lines}")

    def migrations(self, server_uuid: str) -> list[dict[str, Any]]:
        """What the API tells of a server, newest first; empty while it knows nothing."""
        answer = requests.get(f"{self.api}/servers/{server_uuid}/migrations", timeout=30)
        if answer.status_code == requests.codes.not_found:
            return []
        answer.raise_for_status()
        records: list[dict[str, Any]] = answer.json()["migrations"]
        return records

    def counted(self) -> dict[str, float]:
        """The conductor's metrics, each by its name and labels as Prometheus reads them."""
        answer = requests.get(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=30)
        answer.raise_for_status()
        lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
        return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}

    def wait_for(
        self,
        server_uuid: str,
        condition: Callable[[dict[str, Any]], object],
        what: str,
        timeout_seconds: float = 60.0,
    ) -> dict[str, Any]:
        """The server's newest record, as soon as it is as it should be."""
        record: dict[str, Any] = {}

        def fulfilled() -> bool:
            records = self.migrations(server_uuid)
            record.update(records[0] if records else {})
            return bool(records) and bool(condition(record))

        try:
            processes.wait_for(fulfilled, timeout_seconds, f"a record {what}")
        except TimeoutError as error:
            raise AssertionError(f"{error}; it was {record}") from None
        return record

    def wait_for_end(self, server_uuid: str, timeout_seconds: float = 60.0) -> dict[str, Any]:
        """The server's newest record, once it has ended and names its destination."""
        return self.wait_for(
            server_uuid,
            lambda record: (
                record["status"] in _ENDED
                and (record["status"] != "completed" or record["dest_compute"])
            ),
            "that has ended",
            timeout_seconds,
        )

    def _config(self, name: str, text: str) -> pathlib.Path:
        path = self.directory / f"{name}.conf"
        path.write_text(f"[DEFAULT]\ndebug = true\ntransport_url = {self._transport_url}\n{text}")
        return path

    def _run(self, command: str, config: pathlib.Path) -> processes.Program:
        return self._stack.enter_context(
            processes.running(
                [_command(command), "--config-file", str(config)],
                self.directory,
                self._environment,
            )
        )


def reload(program: processes.Program) -> None:
    """Let a program read its configuration again, and wait until it did."""
    seen = program.output().count("SIGHUP")
    program.process.send_signal(signal.SIGHUP)
    processes.wait_for(
        lambda: program.output().count("SIGHUP") > seen, 30.0, "the configuration to be read again"
    )


def _command(name: str) -> str:
    return str(pathlib.Path(sys.executable).with_name(name))

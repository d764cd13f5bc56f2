# SPDX-License-Identifier: Apache-2.0
"""migprog as it is deployed: an agent for each host, conductors and API as processes."""

import contextlib
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self

import requests

from lab.hosts import Host
from lab.parts import processes
from migprog.tests import stores

_START_SECONDS = 60.0
# What uWSGI and gunicorn do: import the module, and serve what it calls "application".
_WSGI = """
from wsgiref import simple_server
from migprog.wsgi import application
simple_server.make_server("127.0.0.1", {port}, application).serve_forever()
"""
_ENDED = {"completed", "failed", "cancelled", "unknown"}


class Deployment:
    """Starts migprog's processes on a broker and a database; stops them at the end of the block.

    ``api_options`` are further ones of [api]; ``messaging`` is what each configuration has besides.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        transport_url: str,
        database_url: str,
        concurrency: str,
        messaging: str = "",
        **api_options: Any,
    ) -> None:
        self.directory = directory
        self._environment = os.environ | {"MIGPROG_CONCURRENCY": concurrency}
        self._transport_url = transport_url
        self._database_url = database_url
        self._messaging = messaging
        self._api_options = "".join(f"{k} = {v}\n" for k, v in api_options.items())
        self._stack = contextlib.ExitStack()
        self.agents: dict[str, processes.Program] = {}
        self._port, self.metrics_port = processes.free_ports(2)
        self.api = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        controller = self._config(
            "controller",
            f"[database]\nconnection = {self._database_url}\n"
            f"[api]\nauth_strategy = noauth\nbind_port = {self._port}\n"
            f"{self._api_options}"
            f"[conductor]\nmetrics_bind_port = {self.metrics_port}\n",
        )
        stores.ready(self._database_url).close()
        self.conductor = self._run("migprog-conductor", controller)
        self.api_program = self._run("migprog-api", controller)
        self.wait_for_api()
        processes.wait_for_port(self.metrics_port, _START_SECONDS, self.conductor)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def another_conductor(self) -> processes.Program:
        """Start one more conductor, and wait until it receives reports."""
        config = self._config("conductor", f"[database]\nconnection = {self._database_url}\n")
        conductor = self._run("migprog-conductor", config)
        wait_for_output(conductor, "takes reports")
        return conductor

    def wait_for_api(self) -> None:
        """Wait until the restarted API answers."""
        processes.wait_for_port(self._port, _START_SECONDS, self.api_program)

    def another_api(self, port: int, text: str) -> processes.Program:
        """Have one more API, over the same database and broker, served on a port of this machine by
        another HTTP server, as ``migprog.wsgi``; ``text`` is what else its configuration has."""
        config = self._config(
            "wsgi",
            f"[database]\nconnection = {self._database_url}\n[api]\n{self._api_options}{text}",
        )
        api = self._stack.enter_context(
            processes.running(
                [sys.executable, "-W", "ignore", "-c", _WSGI.format(port=port)],
                self.directory,
                self._environment | {"MIGPROG_CONFIG_FILE": str(config)},
            )
        )
        processes.wait_for_port(port, _START_SECONDS, api)
        return api

    def agent(
        self,
        host: Host,
        environment: Mapping[str, str] | None = None,
        transport_url: str | None = None,
        **options: Any,
    ) -> processes.Program:
        """Start a host's agent and wait until it watches; ``options`` are those of [compute].

        ``environment`` is added to its own; the broker is everybody's unless it is given.
        """
        config = self.agent_config(host, transport_url, **options)
        agent = self._run("migprog-compute", config, environment or {})
        wait_until_it_watches(agent, host)
        self.agents[host.name] = agent
        return agent

    def agent_config(
        self, host: Host, transport_url: str | None = None, **options: Any
    ) -> pathlib.Path:
        """Write a host's configuration file."""
        options = {"state_path": self.directory / "state"} | options
        lines = "".join(f"{name} = {value}\n" for name, value in options.items())
        text = f"[compute]\nconnection_uri = {host.uri}\n{lines}"
        return self._config(host.name, text, transport_url)

    def migrations(self, server_uuid: str) -> list[dict[str, Any]]:
        """Return the API's migrations of a server, newest first; empty while it knows none."""
        answer = requests.get(f"{self.api}/servers/{server_uuid}/migrations", timeout=30)
        if answer.status_code == requests.codes.not_found:
            return []
        answer.raise_for_status()
        records: list[dict[str, Any]] = answer.json()["migrations"]
        return records

    def server(self, server_uuid: str) -> dict[str, Any]:
        """Return the API's document of a server that has migrated."""
        answer = requests.get(f"{self.api}/servers/{server_uuid}", timeout=30)
        answer.raise_for_status()
        server: dict[str, Any] = answer.json()["server"]
        return server

    def counted(self) -> dict[str, float]:
        """Return the conductor's metrics by name and labels, as Prometheus reads them."""
        answer = requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30)
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
        """Return the server's newest record once it fulfils the condition."""
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
        """Return the server's newest record once it has its end and destination."""
        return self.wait_for(
            server_uuid,
            lambda record: (
                record["status"] in _ENDED
                and (record["status"] != "completed" or record["dest_compute"])
            ),
            "that has ended",
            timeout_seconds,
        )

    def _config(self, name: str, text: str, transport_url: str | None = None) -> pathlib.Path:
        path = self.directory / f"{name}.conf"
        url = transport_url or self._transport_url
        path.write_text(f"[DEFAULT]\ndebug = true\ntransport_url = {url}\n{self._messaging}{text}")
        return path

    def _run(
        self, command: str, config: pathlib.Path, environment: Mapping[str, str] | None = None
    ) -> processes.Program:
        return self._stack.enter_context(
            processes.running(
                [_command(command), "--config-file", str(config)],
                self.directory,
                self._environment | dict(environment or {}),
            )
        )


def wait_until_it_watches(agent: processes.Program, host: Host) -> None:
    """Wait until a host's started agent is connected to its libvirt."""
    wait_for_output(agent, f"watching the migrations of {host.name}")


def wait_for_output(program: processes.Program, text: str) -> None:
    """Wait until a program has logged something since its start."""

    def has_said() -> bool:
        program.check()
        return text in program.output()

    processes.wait_for(has_said, _START_SECONDS, f"{text!r} to be said")


def reload(program: processes.Program) -> None:
    """Send a program SIGHUP, and wait until it has read its configuration again."""
    seen = program.output().count("SIGHUP")
    program.process.send_signal(signal.SIGHUP)
    processes.wait_for(
        lambda: program.output().count("SIGHUP") > seen, 30.0, "the configuration to be read again"
    )


def _command(name: str) -> str:
    return str(pathlib.Path(sys.executable).with_name(name))

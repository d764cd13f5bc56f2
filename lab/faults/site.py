# SPDX-License-Identifier: Apache-2.0
"""The site of the faults: two libvirt hosts, a broker, a database, and migprog's processes.

Each agent reaches the broker by a network of its own, has a small disk for its state, and a clock
that can be set.
"""

import contextlib
import pathlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
import sqlalchemy as sa

from lab.faults.clock import Clock
from lab.faults.ground_truth import Outage, Part
from lab.faults.keystone_api import KeystoneApi, keystone_api
from lab.faults.relay import Relay
from lab.hosts import Host, Lab
from lab.parts import broker, databases, processes, small_disk
from lab.parts.deployment import Deployment, wait_until_it_watches

_STATE_KIB = 64
# As an operator has them, but for what is awaited here.
_OPTIONS = {
    "report_interval": 0.5,
    "scan_interval": 2,
    "heartbeat_interval": 5,
    "libvirt_timeout": 2,
    "rpc_timeout": 2,
}


@dataclass(frozen=True, slots=True)
class Agent:
    """A host's agent with its relay, clock and state directory."""

    host: Host
    program: processes.Program
    network: Relay
    state: pathlib.Path
    clock: Clock

    @property
    def kept(self) -> str:
        """Return all that the agent has on disk."""
        paths = self.state.glob("agent-*/*-*.json")
        return "\n".join(path.read_text(errors="replace") for path in paths)

    @property
    def keeps_something(self) -> bool:
        """Return whether the agent has unacknowledged reports on disk."""
        return any(self.state.glob("agent-*/*-*.json"))

    def start_again(self) -> None:
        self.program.start()
        wait_until_it_watches(self.program, self.host)


class Site:
    """All of it; the agents are started apart. Parts that are away are in ``outages``."""

    agents: list[Agent]
    _guarded: KeystoneApi | None = None

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._stack = contextlib.ExitStack()
        self.outages: list[Outage] = []

    def __enter__(self) -> "Site":
        enter = self._stack.enter_context
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self.lab = enter(Lab(hosts=("lab-a", "lab-b")))
            self.broker = enter(broker.rabbitmq())
            self.database = enter(databases.mariadb(durable=True))
            direct = sa.make_url(self.database.new_database())
            # What conductors and API reach it by.
            self.database_network = enter(Relay(direct.port or 0))
            url = direct.set(port=self.database_network.port).render_as_string(False)
            self._database_url = url
            self.deployment = enter(
                Deployment(self._directory, self.broker.url, url, concurrency="threading")
            )
            self.conductors = [self.deployment.conductor, self.deployment.another_conductor()]
            undo.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        # Their orderly shutdown is not needed, and each waits for others.
        agents = [agent.program for agent in getattr(self, "agents", [])]
        services = [self.deployment.api_program, self.broker.program, self.database.program]
        for program in (*agents, *self.conductors, *services):
            program.kill()
        self._stack.close()

    def start_agents(self) -> None:
        """Start the agents; the first time create what belongs to them."""
        if hasattr(self, "agents"):
            for agent in self.agents:
                agent.start_again()
        else:
            self.agents = [self._agent(host) for host in self.lab.hosts]

    def stop_agents(self) -> None:
        for agent in self.agents:
            agent.program.stop()

    @contextlib.contextmanager
    def outage(self, part: Part, host: Host | None = None) -> Iterator[None]:
        """Record that a part is away during the block."""
        began_at = time.time()
        yield
        self.outages.append(Outage(part, host and host.name, began_at, time.time()))

    @contextlib.contextmanager
    def agent_killed(self, agent: Agent) -> Iterator[None]:
        """Kill an agent, and start it again after the block."""
        began_at = time.time()
        agent.program.kill()
        kept = agent.kept
        yield
        agent.start_again()
        away = Outage(Part.AGENT, agent.host.name, began_at, time.time(), kept)
        self.outages.append(away)

    def restart_libvirt(self, host: Host, kill: bool, away_seconds: float) -> None:
        """Stop or kill a host's libvirtd, and start it again after so long."""
        if kill:
            host.kill_libvirtd()
        else:
            host.stop_libvirtd()
        time.sleep(away_seconds)
        host.start_libvirtd()
        # It serves before it has looked at each guest again.
        with host.connect() as connection:
            for domain in connection.listAllDomains():
                with contextlib.suppress(libvirt.libvirtError):
                    domain.state()

    @property
    def behind_keystone(self) -> KeystoneApi:
        """Return one more API with a Keystone; the first call takes some seconds."""
        if self._guarded is None:
            made = keystone_api(self._directory / "keystone", self._database_url)
            self._guarded = self._stack.enter_context(made)
        return self._guarded

    @contextlib.contextmanager
    def second_agent(self, host: Host) -> Iterator[processes.Program]:
        """Run one more agent of a host during the block."""
        config = self._directory / f"second-{host.name}.conf"
        config.write_text(
            f"[DEFAULT]\ntransport_url = {self.broker.url}\n"
            f"[compute]\nconnection_uri = {host.uri}\n"
            f"state_path = {self._directory / f'second-{host.name}'}\n"
        )
        command = pathlib.Path(sys.executable).with_name("migprog-compute")
        words = [str(command), "--config-file", str(config)]
        with processes.running(words, self._directory) as second:
            yield second

    def _agent(self, host: Host) -> Agent:
        network = self._stack.enter_context(Relay(self.broker.port))
        state = self._directory / f"state-{host.name}"
        self._stack.enter_context(small_disk.mounted(state, _STATE_KIB))
        clock = Clock(self._directory / f"clock-{host.name}")
        options: dict[str, Any] = {"state_path": state} | _OPTIONS
        program = self.deployment.agent(
            host,
            clock.environment,
            transport_url=f"rabbit://guest:guest@127.0.0.1:{network.port}/",
            **options,
        )
        return Agent(host, program, network, state, clock)

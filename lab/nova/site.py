# SPDX-License-Identifier: Apache-2.0
"""The whole lab, part after part: the cloud, its hosts, migprog beside it, and the proxies."""

import contextlib
import shutil
import signal
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lab.hosts import Lab
from lab.nova import environments, hosts, images, schema, service_config
from lab.nova.cloud_client import Cloud
from lab.nova.description import Description, HostDescription
from lab.nova.hosts import ComputeHost
from lab.nova.migprog_install import MigprogInstall
from lab.nova.progress_lines import say, step
from lab.nova.service_config import Places
from lab.nova.services import Services
from lab.nova.subprocesses import run
from lab.parts import broker, databases, keystone, processes, proxies

_START_SECONDS = 600.0
_TOKEN_SECONDS = 24 * 3600
_PYTHON_WSGI = {
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "neutron": "neutron.wsgi.api",
    "nova-api": "nova.wsgi.osapi_compute",
}
_CONTROLLERS = ("nova-conductor", "nova-scheduler")
_CONFIG_DIRECTORIES = {
    "placement": ("OS_PLACEMENT_CONFIG_DIR", "placement"),
    "glance": ("OS_GLANCE_CONFIG_DIR", "glance"),
    "neutron": ("OS_NEUTRON_CONFIG_DIR", "neutron"),
    "nova-api": ("OS_NOVA_CONFIG_DIR", "nova"),
}


class Site:
    """Starts with the block, and ends with it. ``directory`` is empty and has a short path."""

    def __init__(self, directory: Path, cache: Path, source: Path) -> None:
        self.directory = directory
        self.cache = cache
        self.source = source
        self.hosts: dict[str, ComputeHost] = {}
        self.proxies: dict[str, proxies.Proxy] = {}
        self.tls: proxies.Certificate | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self._environment = environments.openstack(self.cache)
            self._start_infrastructure()
            self._start_controllers()
            self._start_hosts()
            self._fill()
            self._start_migprog()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    # -- the cloud -------------------------------------------------------------------------------

    def _start_infrastructure(self) -> None:
        enter = self._stack.enter_context
        self.services = Services(self.directory / "log")
        names = (*_PYTHON_WSGI, "ssh", "migprog", "migprog-metrics")
        self.ports = dict(zip(names, processes.free_ports(len(names)), strict=True))
        with step("starting MariaDB and RabbitMQ"):
            self.database = enter(databases.mariadb())
            self.database.execute("SET GLOBAL max_connections = 500")
            self.broker = enter(broker.rabbitmq())
        with step("starting Keystone"):
            shared = self.directory / "keystone"
            shared.mkdir()
            keystone.make(shared)
            self.keystone = enter(keystone.serving(shared, shared, _TOKEN_SECONDS))
        self.places = Places(
            broker=self.broker.url,
            database=self.database.admin_url,
            keystone=self.keystone.url,
            password=keystone.PASSWORD,
            directory=self.directory,
            environment=self._environment,
        )
        # Programs of the lab end before what they use.
        self._stack.callback(self.services.close)

    def _start_controllers(self) -> None:
        etc = self.directory / "etc"
        for file, sections in (
            ("placement/placement.conf", service_config.placement(self.places)),
            ("glance/glance-api.conf", service_config.glance(self.places)),
            ("neutron/neutron.conf", service_config.neutron(self.places)),
            ("nova/nova.conf", service_config.nova(self.places)),
        ):
            service_config.write(etc / file, sections)
        for name in ("images/staging", "images/tasks", "nova/lock", "neutron/lock"):
            (self.directory / name).mkdir(parents=True)
        for name in ("nova/api-paste.ini", "glance/glance-api-paste.ini"):
            shutil.copy(self._environment / "etc" / name, etc / name)
        schema.prepare(self.database, self.places, self.cache)
        with step("starting Placement, Glance, Neutron and Nova"):
            self._make_users()
            for name in _PYTHON_WSGI:
                self.start_api(name)
            for name in _CONTROLLERS:
                command = [
                    self._environment / "bin" / name,
                    "--config-file",
                    etc / "nova/nova.conf",
                ]
                self.services.start(name, command)
            for name in _PYTHON_WSGI:
                self._wait_for(name)
            # Before it has read anything else, Neutron 29 fails to list ports.
            networks = f"http://127.0.0.1:{self.ports['neutron']}/v2.0/networks"
            self.cloud().ask("GET", networks, None)

    def start_api(self, name: str) -> None:
        """Start the API of a service; if it runs, it reads its configuration again."""
        variable, directory = _CONFIG_DIRECTORIES[name]
        environment = {
            variable: str(self.directory / "etc" / directory),
            "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
        }
        python = self._environment / "bin/python"
        self.services.serve(name, python, _PYTHON_WSGI[name], self.ports[name], environment)

    def _wait_for(self, name: str) -> None:
        processes.wait_for_port(self.ports[name], _START_SECONDS, self.services[name])

    def _make_users(self) -> None:
        service, demo = (self.keystone.new_project(name) for name in ("service", "demo"))
        for name in ("nova", "placement", "glance", "neutron"):
            user = self.keystone.new_user(name, "admin", service)
            self.keystone.grant(user, "service", service)
        self.keystone.new_user("demo", "member", demo)
        self.keystone.new_endpoint("identity", self.keystone.url)
        for kind, name in (("placement", "placement"), ("image", "glance"), ("network", "neutron")):
            self.keystone.new_endpoint(kind, f"http://127.0.0.1:{self.ports[name]}")

    # -- the hosts -------------------------------------------------------------------------------

    def _start_hosts(self) -> None:
        with step("starting two hosts with libvirtd and nova-compute"):
            visible = (self.cache,)
            lab = self._stack.enter_context(
                Lab(hosts.NAMES, state_path=self.directory / "h", visible=visible)
            )
            uri = f"qemu+unix:///system?socket={lab.directory}/%s/libvirt-sock"
            self.hosts = {
                host.name: ComputeHost(host, self.services, self.places, uri) for host in lab.hosts
            }
            ssh = hosts.SshAccess.make(self.directory, self.ports["ssh"])
            for host in self.hosts.values():
                host.start_sshd(ssh)
                host.start_nova_compute()
        # The hosts end at once, nova-compute and all: no need to wait for each.
        with step("waiting for Nova to know both"):
            self.wait_for_computes(discover=True)

    def wait_for_computes(self, discover: bool = False) -> None:
        """Wait until Nova shows both hosts as up."""
        manage: list[str | Path] = [self._environment / "bin/nova-manage", "--config-file"]
        manage.append(self.directory / "etc/nova/nova.conf")

        began = datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat()

        computes = [host.service("compute") for host in self.hosts.values()]

        def both_are_up() -> bool:
            for name in (*_CONTROLLERS, *computes):
                self.services[name].check()
            services = self.cloud().nova("GET", "/os-services?binary=nova-compute")["services"]
            # Of one that was killed, the state stays "up" for a while.
            fresh = [each for each in services if (each["updated_at"] or "") > began]
            return [each["state"] for each in fresh].count("up") == len(self.hosts)

        processes.wait_for(both_are_up, _START_SECONDS, "both hosts in Nova")
        if discover:
            run([*manage, "cell_v2", "discover_hosts"])

    def _fill(self) -> None:
        with step("making images and flavours"):
            images.upload(self.cloud(), self.directory)

    # -- migprog ---------------------------------------------------------------------------------

    def _start_migprog(self) -> None:
        self.tls = proxies.certificate(self.directory)
        for name in proxies.NAMES:
            self.proxies[name] = proxies.Proxy(name, *processes.free_ports(2))
        public = f"https://127.0.0.1:{self.proxies['nginx'].nova_port}/v2.1"
        self.keystone.new_endpoint("compute", self.nova_url, public)
        self.beside = MigprogInstall(self)
        self.beside.install(self.source)
        with step("starting migprog beside it, by its documents, and the proxies"):
            self.beside.start_proxies()
            self.beside.start()
        self.describe().write(self.directory)
        say("ready")

    @property
    def nova_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['nova-api']}/v2.1"

    def describe(self) -> Description:
        """Return the description that other processes need."""
        return Description(
            keystone=self.keystone.url,
            password=keystone.PASSWORD,
            glance=f"http://127.0.0.1:{self.ports['glance']}",
            nova=self.nova_url,
            migprog=f"http://127.0.0.1:{self.ports['migprog']}",
            proxies={
                name: f"https://127.0.0.1:{proxy.nova_port}/v2.1"
                for name, proxy in self.proxies.items()
            },
            certificate=str(self.tls.certificate) if self.tls else "",
            commands=str(self._environment / "bin"),
            hosts=tuple(
                HostDescription(host.name, host.host.uri, str(host.root))
                for host in self.hosts.values()
            ),
        )

    def cloud(self) -> Cloud:
        """Return a client of the cloud, as admin."""
        return Cloud(self.describe())

    # -- what others may ask for -------------------------------------------------------------------

    def commands(self) -> dict[str, Any]:
        """Return the requests by name; see :mod:`lab.nova.control`."""
        return {
            "status": self.services.states,
            "start": self.services.again,
            "stop": self.services.stop,
            "signal": self.services.signal,
            "computes": self.restart_computes,
            "libvirtd": self.libvirtd,
            "migprog": self.beside.again,
            "agents": self.beside.agents,
        }

    def restart_computes(self, options: Iterable[str] = ()) -> None:
        """Restart both nova-computes, with these options in addition to the lab's."""
        for host in self.hosts.values():
            host.start_nova_compute(options)
        self.wait_for_computes()

    def libvirtd(self, host: str, verb: str) -> None:
        """Kill a host's libvirtd, stop it, or start it."""
        of_host = self.hosts[host].host
        {
            "kill": of_host.kill_libvirtd,
            "stop": of_host.stop_libvirtd,
            "start": of_host.start_libvirtd,
            "hang": lambda: of_host.signal_libvirtd(signal.SIGSTOP),
            "continue": lambda: of_host.signal_libvirtd(signal.SIGCONT),
        }[verb]()

# SPDX-License-Identifier: Apache-2.0
"""migprog beside the lab's Nova: installed, configured and started as its documents say."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.nova import doc_commands, environments, service_config
from lab.nova.hosts import AGENT_USER
from lab.nova.progress_lines import step
from lab.nova.subprocesses import run
from lab.parts import processes, proxies

if TYPE_CHECKING:
    from lab.nova.hosts import ComputeHost
    from lab.nova.site import Site

SECRET = "s3cret"
# The blocks of beside-nova.rst that are carried out here, and by the case "page".
BLOCKS = (
    *("beside-conductor", "beside-api", "beside-agent", "beside-test", "beside-catalog"),
    "beside-look",
)
_START_SECONDS = 600.0
_ROLES = ("controller", "hypervisor")
# The lab's tenant chooses the host, and has servers whose disk is as large as the image.
_LAB_RULES = """\
"os_compute_api:servers:create:zero_disk_flavor": "rule:project_member_or_admin"
"compute:servers:create:requested_destination": "rule:project_member_or_admin"
"""
_CONTROLLERS = ("migprog-conductor", "migprog-api")


def install_commands(page: doc_commands.Page, role: str) -> list[list[str]]:
    """Return the commands of the page that make a role's environment, in the checkout."""
    heading = {"controller": "From a checkout\n===", "hypervisor": "Hypervisors\n==="}[role]
    lines = doc_commands.commands(page.after(heading))
    wanted = [line for line in lines if "install" in line or "venv" in line]
    return [line for line in wanted if line[0] != "apt-get"][:2]


class MigprogInstall:
    """migprog's processes of a site, and the proxies before both APIs."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._options: tuple[str, ...] = ()
        self._user = "root"
        self._has_user = False
        self._checkout = site.directory / "migprog"

    # -- the package -----------------------------------------------------------------------------

    def install(self, source: Path) -> None:
        """Install the checkout in ``source``, with what is not committed there."""
        with step(f"installing migprog from {source}"):
            shutil.rmtree(self._checkout, ignore_errors=True)
            _copy(source, self._checkout)
            for role in _ROLES:
                self._install(role)

    def _install(self, role: str) -> None:
        page = self._page("install.rst", {"/opt/migprog": str(self._environment(role))})
        for words in install_commands(page, role):
            # The first makes the environment, and has done so if it is an old one.
            if "venv" in words and self._binary(role, "pip").exists():
                continue
            program = str(environments.PYTHON) if words[0] == "python3" else words[0]
            run([program, *words[1:]], directory=self._checkout)

    def _environment(self, role: str) -> Path:
        wants = (self._checkout / name for name in ("requirements.txt", "setup.cfg"))
        return self._site.cache / f"migprog-{role}-{environments.fingerprint(*wants)}"

    def _binary(self, role: str, name: str) -> Path:
        return self._environment(role) / "bin" / name

    # -- the documents ---------------------------------------------------------------------------

    def _page(self, name: str, more: dict[str, str]) -> doc_commands.Page:
        """Of the lab's own checkout, so that an older or a newer migprog can be installed, too."""
        return doc_commands.Page(environments.ROOT, name, {"SECRET": SECRET, **more})

    def _places(self) -> dict[str, str]:
        """Return the lab's values for the pages' example names."""
        places = self._site.places
        return {
            "@broker:5672": places.broker.rstrip("/").partition("guest:guest")[2],
            "@database/": places.database.partition("root")[2],
            "http://keystone:5000/v3": places.keystone,
        }

    def start(self) -> None:
        """Run the pages' commands, from the database to the agents."""
        page = self._page("install.rst", self._places())
        self._make_database(page)
        self._make_broker(page)
        self._make_user(page)
        rules = page.after("``/etc/nova/policy.yaml``")
        (self._site.directory / "etc/nova/policy.yaml").write_text(_LAB_RULES + rules)
        self._write_controller(page)
        run(self._command(["migprog-manage", "db", "sync"]))
        nova = self._page("beside-nova.rst", self._places())
        for words in doc_commands.commands(nova.named("beside-test")):
            run(self._command(words))
        for name in _CONTROLLERS:
            self._site.services.start(name, self._command([name]))
        processes.wait_for_port(
            self._site.ports["migprog"], _START_SECONDS, self._site.services["migprog-api"]
        )
        for host in self._site.hosts.values():
            self._write_agent(host)
        self.agents("start")

    def _make_database(self, page: doc_commands.Page) -> None:
        for old in ("DROP USER IF EXISTS migprog@'%'", "DROP DATABASE IF EXISTS migprog"):
            self._site.database.execute(old)
        for statement in doc_commands.statements(page.of_language("mysql")):
            self._site.database.execute(statement)

    def _make_broker(self, page: doc_commands.Page) -> None:
        control = self._site.broker.environment
        if self._has_user:
            for old in (["delete_vhost", "migprog"], ["delete_user", "migprog"]):
                run(["rabbitmqctl", *old], control)
        for words in doc_commands.commands(page.after("On a node of RabbitMQ")):
            run(words, control)

    def _make_user(self, page: doc_commands.Page) -> None:
        if not self._has_user:
            own = f"https://127.0.0.1:{self._site.proxies['nginx'].migprog_port}"
            nova = self._page("beside-nova.rst", {"https://cloud.example.org:8790": own})
            for block in (
                page.after("as a user of the service project"),
                nova.named("beside-catalog"),
            ):
                for words in doc_commands.commands(block):
                    self.openstack(words)
            self._has_user = True

    def _write_agent(self, host: "ComputeHost") -> None:
        ours = self._places() | {"compute-1": host.name, "192.0.2.11": host.address}
        written = self._page("install.rst", ours).after("Hypervisors\n===", "#. Write")
        more = self._page("beside-nova.rst", ours).named("beside-agent")
        sections = _sections(written) | _sections(more)
        wanted = [each for each in self._options if each.startswith("compute.")]
        file = host.root / "etc/migprog/migprog.conf"
        service_config.write(file, service_config.with_options(sections, wanted))

    def _write_controller(self, page: doc_commands.Page) -> None:
        sections = _sections(page.after("Controllers\n==="))
        nova = self._page("beside-nova.rst", self._places())
        for name in ("beside-conductor", "beside-api"):
            sections |= _sections(nova.named(name))
        ports = self._site.ports
        sections["api"] = {"bind_port": str(ports["migprog"])}
        sections["conductor"] = {"metrics_bind_port": str(ports["migprog-metrics"])}
        wanted = [each for each in self._options if not each.startswith("compute.")]
        service_config.write(self._config, service_config.with_options(sections, wanted))

    @property
    def _config(self) -> Path:
        return self._site.directory / "etc/migprog/migprog.conf"

    def _command(self, words: Sequence[str]) -> list[str]:
        binary = str(self._binary("controller", words[0]))
        return [binary, "--config-file", str(self._config), *words[1:]]

    def openstack(self, words: Sequence[str]) -> str:
        """Run a command of the ``openstack`` client as admin."""
        commands = self._site.places.environment / "bin"
        environment = self._site.describe().environment()
        return run([commands / words[0], *words[1:]], environment)

    # -- changes ---------------------------------------------------------------------------------

    def agents(self, verb: str, user: str | None = None) -> None:
        """``start`` the agents of all hosts, as ``user`` from now on if that is given; ``stop`` or
        ``kill`` them."""
        self._user = user or self._user
        for host in self._site.hosts.values():
            name = host.service("migprog")
            if verb != "start":
                self._site.services.signal(name, {"stop": 15, "kill": 9}[verb])
                self._site.services.stop(name)
                continue
            state = host.root / "var/lib/migprog"
            shutil.chown(state, *(2 * [65530 if self._user == AGENT_USER else 0]))
            command = [str(self._binary("hypervisor", "migprog-compute"))]
            if self._user != "root":
                as_user = f"--reuid={self._user} --regid={self._user} --clear-groups"
                command = ["setpriv", *as_user.split(), "--no-new-privs", *command]
            host.run("migprog", command)
        if verb == "start":
            self._wait_for_agents()

    def _wait_for_agents(self) -> None:
        for host in self._site.hosts.values():
            program = self._site.services[host.service("migprog")]

            def watches(program: processes.Program = program) -> bool:
                program.check()
                return "watching the migrations" in program.output()

            processes.wait_for(watches, _START_SECONDS, f"the agent of {host.name} to watch")

    def again(
        self,
        source: str | None = None,
        options: Iterable[str] = (),
        user: str = "root",
    ) -> None:
        """Restart all of migprog with an empty database; from another checkout, if named, and
        with these options (SECTION.NAME=VALUE; [compute] is the agents')."""
        self._options, self._user = tuple(options), user
        for name in (
            *(host.service("migprog") for host in self._site.hosts.values()),
            *_CONTROLLERS,
        ):
            self._site.services.stop(name)
        if source is not None:
            self.install(Path(source))
        self.start_proxies()
        self.start()

    def start_proxies(self) -> None:
        """Start both proxies with the files of the checkout."""
        ports = self._site.ports
        for proxy in self._site.proxies.values():
            directory = self._site.directory / proxy.name
            directory.mkdir(exist_ok=True)
            command = proxies.configure(
                proxy,
                directory,
                ports["nova-api"],
                ports["migprog"],
                self._site.tls,
                root=self._checkout,
            )
            program = self._site.services.start(proxy.name, command)
            processes.wait_for_port(proxy.nova_port, _START_SECONDS, program)


def _sections(text: str) -> service_config.Sections:
    """The sections of a configuration file's text."""
    found: service_config.Sections = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            section[name.strip()] = value.strip()
    return found


def _copy(source: Path, target: Path) -> None:
    """Clone a checkout, and add what is changed or new there."""
    run(["git", "clone", "--quiet", "--local", source, target])
    names = run(
        ["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    for name in filter(None, names.split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)

# SPDX-License-Identifier: Apache-2.0
"""A compute host of the lab: a libvirt host with sshd and nova-compute on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.hosts import Host
from lab.nova import service_config
from lab.nova.service_config import Places
from lab.nova.services import Services, inside
from lab.nova.subprocesses import run

NAMES = ("host-a", "host-b")
_ADDRESSES = {"host-a": "127.0.7.2", "host-b": "127.0.7.3"}
AGENT_USER = "migprog"
_ACCOUNTS = {AGENT_USER: 65530}
_DIRECTORIES = (
    *(".ssh", "etc/ssh", "etc/nova", "etc/migprog", "var/lib/nova/instances"),
    *("var/lib/nova/lock", "var/lib/migprog"),
)
# Nova copies files of servers that are resized or moved cold, as root of one host to the other.
_SSH = """\
Host *
  Port {port}
  IdentityFile /.ssh/key
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
"""


@dataclass(frozen=True)
class SshAccess:
    """The key that opens all hosts, that of the hosts themselves, and the port of their sshd."""

    key: Path
    host_key: Path
    port: int

    @classmethod
    def make(cls, directory: Path, port: int) -> "SshAccess":
        made = cls(directory / "ssh-key", directory / "ssh-host-key", port)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made.key])
        run(["dropbearkey", "-t", "ed25519", "-f", made.host_key])
        return made


class ComputeHost:
    """What runs on a host besides libvirtd; ``services`` has it as ``ROLE@HOST``."""

    def __init__(self, host: Host, services: Services, places: Places, uri: str) -> None:
        self.host = host
        self.address = _ADDRESSES[host.name]
        self._services = services
        self._places = places
        self._uri = uri
        self.root = host.root
        self._write_root()

    @property
    def name(self) -> str:
        return self.host.name

    def service(self, role: str) -> str:
        """The name of a service of this host."""
        return f"{role}@{self.name}"

    def start_sshd(self, ssh: SshAccess) -> None:
        """Start an SSH server. It is Dropbear: Debian's package of OpenSSH's would start one of the
        machine's own."""
        home, etc = self.root / ".ssh", self.root / "etc/ssh"
        for file, source in (
            (home / "key", ssh.key),
            (home / "authorized_keys", Path(f"{ssh.key}.pub")),
            (etc / "host-key", ssh.host_key),
        ):
            file.write_bytes(source.read_bytes())
            file.chmod(0o600)
        (etc / "ssh_config").write_text(_SSH.format(port=ssh.port))
        listen = f"{self.address}:{ssh.port}"
        self.run("sshd", ["dropbear", "-F", "-E", "-s", "-r", "/etc/ssh/host-key", "-p", listen])

    def start_nova_compute(self, more: Iterable[str] = ()) -> None:
        """Start or restart nova-compute; ``more`` are options, SECTION.NAME=VALUE."""
        sections = service_config.nova_compute(self._places, self.address, self._uri)
        service_config.write(
            self.root / "etc/nova/nova.conf", service_config.with_options(sections, more)
        )
        # Its privsep helpers are found by the search path of its environment.
        search = f"PATH={self._places.environment}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.run("compute", ["/usr/bin/env", search, "nova-compute"])

    def run(self, role: str, command: list[str]) -> None:
        """Start a program on this host."""
        self._services.start(self.service(role), inside(self.host, command))

    def _write_root(self) -> None:
        for name in _DIRECTORIES:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        with (
            (self.root / "etc/passwd").open("a") as passwd,
            (self.root / "etc/group").open("a") as group,
        ):
            for name, number in _ACCOUNTS.items():
                passwd.write(f"{name}:x:{number}:{number}::/:\n")
                group.write(f"{name}:x:{number}:\n")
        (self.root / ".ssh").chmod(0o700)
        # The sockets where a libvirt client of this host looks for them.
        (self.root / "var/run").symlink_to("../run")
        (self.root / "run/libvirt").mkdir(exist_ok=True)
        for name in ("libvirt-sock", "libvirt-sock-ro"):
            (self.root / "run/libvirt" / name).symlink_to(self.host.directory / name)
        # Whoever may use a socket must get at it.
        for directory in (self.host.directory.parent, self.host.directory):
            directory.chmod(0o711)

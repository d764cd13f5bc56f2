# SPDX-License-Identifier: Apache-2.0
"""A compute host of the lab: a libvirt host with sshd and nova-compute on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from migprog.tests.lab import Host
from migprog.tests.nova_lab import options
from migprog.tests.nova_lab.commands import run
from migprog.tests.nova_lab.options import Places
from migprog.tests.nova_lab.services import Services, inside

NAMES = ("host-a", "host-b")
_ADDRESSES = {"host-a": "127.0.7.2", "host-b": "127.0.7.3"}
AGENT_USER = "migprog"
_ACCOUNTS = {"sshd": 65531, AGENT_USER: 65530}
_DIRECTORIES = (
    *("run/sshd", "etc/ssh", "etc/nova", "etc/migprog", "var/lib/nova/instances"),
    *("var/lib/nova/lock", "var/lib/migprog"),
)
# Nova copies files of servers that are resized or moved cold, as root of one host to the other.
_SSHD = """\
ListenAddress {address}:{port}
HostKey /etc/ssh/key
AuthorizedKeysFile /etc/ssh/key.pub
PermitRootLogin prohibit-password
StrictModes no
PidFile none
Subsystem sftp internal-sftp
"""
_SSH = """\
Host *
  Port {port}
  IdentityFile /etc/ssh/key
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
"""


@dataclass(frozen=True)
class SshAccess:
    """The key that opens all hosts, and the port of all their sshd."""

    key: Path
    port: int

    @classmethod
    def make(cls, directory: Path, port: int) -> "SshAccess":
        key = directory / "ssh-key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        return cls(key, port)


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
        etc = self.root / "etc/ssh"
        for suffix in ("", ".pub"):
            copy = etc / f"key{suffix}"
            copy.write_bytes(Path(f"{ssh.key}{suffix}").read_bytes())
            copy.chmod(0o600)
        (etc / "ssh_config").write_text(_SSH.format(port=ssh.port))
        (etc / "sshd_config").write_text(_SSHD.format(address=self.address, port=ssh.port))
        self.run("sshd", ["/usr/sbin/sshd", "-D", "-e"])

    def start_nova_compute(self, more: Iterable[str] = ()) -> None:
        """Start nova-compute, anew if it runs; ``more`` are options, SECTION.NAME=VALUE."""
        sections = options.nova_compute(self._places, self.address, self._uri)
        options.write(self.root / "etc/nova/nova.conf", options.with_options(sections, more))
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
        # The sockets where a libvirt client of this host looks for them.
        (self.root / "var/run").symlink_to("../run")
        (self.root / "run/libvirt").mkdir(exist_ok=True)
        for name in ("libvirt-sock", "libvirt-sock-ro"):
            (self.root / "run/libvirt" / name).symlink_to(self.host.directory / name)
        # Whoever may use a socket must get at it.
        for directory in (self.host.directory.parent, self.host.directory):
            directory.chmod(0o711)

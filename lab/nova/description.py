# SPDX-License-Identifier: Apache-2.0
"""What a running lab is and where: written by the supervisor, read by all others."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

NAME = "lab.json"


@dataclass(frozen=True)
class HostDescription:
    """A compute host: its name, the URI of its libvirt, and where its root directory is."""

    name: str
    uri: str
    root: str


@dataclass(frozen=True)
class Description:
    """URLs of the services, of Nova's API alone and through the proxies, and what else a client
    needs."""

    keystone: str
    password: str
    glance: str
    nova: str
    migprog: str
    proxies: dict[str, str]
    certificate: str
    commands: str
    hosts: tuple[HostDescription, ...]

    def host(self, name: str) -> HostDescription:
        return next(host for host in self.hosts if host.name == name)

    def environment(self, user: str = "admin") -> dict[str, str]:
        """The variables of the ``openstack`` client, for ``admin`` or ``demo``."""
        return {
            "OS_AUTH_URL": self.keystone,
            "OS_USERNAME": user,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": user,
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_COMPUTE_API_VERSION": "2.95",
            "OS_CACERT": self.certificate,
        }

    def write(self, state: Path) -> None:
        text = json.dumps(dataclasses.asdict(self), indent=1)
        (state / NAME).write_text(text + "\n")

    @classmethod
    def read(cls, state: Path) -> "Description":
        found = json.loads((state / NAME).read_text())
        hosts = tuple(HostDescription(**host) for host in found.pop("hosts"))
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: found[name] for name in known & found.keys()}, hosts=hosts)

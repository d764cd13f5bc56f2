# SPDX-License-Identifier: Apache-2.0
"""The metadata that Nova writes into the definition of its domains."""

import uuid
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

NOVA_NAMESPACE = "http://openstack.org/xmlns/libvirt/nova/1.1"

ET.register_namespace("nova", NOVA_NAMESPACE)


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class NovaMetadata:
    """The owner of a server, in Nova's terms; texts may be anything that a tenant can type."""

    server_name: str
    project_id: str = field(default_factory=_new_id)
    project_name: str = "demo"
    user_id: str = field(default_factory=_new_id)
    user_name: str = "demo"
    flavor_name: str = "m1.lab"

    def element(self, memory_mib: int, disk_mib: int) -> ET.Element:
        """Return the `nova:instance` element, with children in Nova's order."""
        instance = ET.Element(_tag("instance"))
        ET.SubElement(instance, _tag("package"), version="29.0.1")
        _text(instance, "name", self.server_name)
        _text(instance, "creationTime", "2025-01-31 12:00:00")
        flavor = ET.SubElement(instance, _tag("flavor"), name=self.flavor_name)
        sizes = {"memory": memory_mib, "disk": -(-disk_mib // 1024), "swap": 0, "ephemeral": 0}
        for name, value in {**sizes, "vcpus": 1}.items():
            _text(flavor, name, str(value))
        owner = ET.SubElement(instance, _tag("owner"))
        _text(owner, "user", self.user_name, uuid=self.user_id)
        _text(owner, "project", self.project_name, uuid=self.project_id)
        ET.SubElement(instance, _tag("ports"))
        return instance


def _tag(name: str) -> str:
    return f"{{{NOVA_NAMESPACE}}}{name}"


def _text(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, _tag(name), attributes).text = text

# SPDX-License-Identifier: Apache-2.0
"""Parse a domain's XML. Tenants choose some of it: it is only data."""

from collections.abc import Callable
from xml.etree import ElementTree

from migprog.core.server_facts import ServerFacts

# Nova raises the last number of its metadata's namespace with each change of its format.
_NOVA = "http://openstack.org/xmlns/libvirt/nova/"
_HOST_DEVICES = ("devices/hostdev", "devices/interface[@type='hostdev']")
_UNIT_BYTES = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def read(xml: str) -> ServerFacts:
    """Read a domain's XML from libvirt. What cannot be read is not known.

    libvirt generates it: it has no entities and no document type.
    """
    try:
        domain = ElementTree.fromstring(xml)  # noqa: S314
    except ElementTree.ParseError:
        return ServerFacts()
    instance = _nova_instance(domain)
    return ServerFacts(
        memory_size_bytes=_memory_size_bytes(domain),
        huge_pages=domain.find("memoryBacking/hugepages") is not None,
        has_host_devices=any(domain.find(path) is not None for path in _HOST_DEVICES),
        server_name=_text(instance, "name") or domain.findtext("name"),
        project_id=_attribute(instance, "owner/project", "uuid"),
        user_id=_attribute(instance, "owner/user", "uuid"),
    )


def disk_targets(xml: str) -> tuple[str, ...]:
    """Return the names of a domain's disks as the guest has them ("vda"), in the order of its XML,
    without CD-ROMs and floppy disks, which are not copied."""
    return _disk_targets(xml, lambda _disk: True)


def copied_disks(xml: str) -> tuple[str, ...]:
    """Return the names of the disks that a block migration copies: those in files and devices of
    the host, unless they are read-only or shared with other servers."""
    return _disk_targets(
        xml,
        lambda disk: (
            disk.get("type") in ("file", "block")
            and disk.find("readonly") is None
            and disk.find("shareable") is None
        ),
    )


def _disk_targets(xml: str, wanted: Callable[[ElementTree.Element], bool]) -> tuple[str, ...]:
    try:
        domain = ElementTree.fromstring(xml)  # noqa: S314
    except ElementTree.ParseError:
        return ()
    targets = (
        disk.find("target")
        for disk in domain.findall("devices/disk")
        if disk.get("device", "disk") in ("disk", "lun") and wanted(disk)
    )
    return tuple(name for target in targets if target is not None and (name := target.get("dev")))


def _nova_instance(domain: ElementTree.Element) -> ElementTree.Element | None:
    for element in domain.findall("metadata/*"):
        if element.tag.startswith("{" + _NOVA) and element.tag.endswith("}instance"):
            return element
    return None


def _find(instance: ElementTree.Element | None, path: str) -> ElementTree.Element | None:
    if instance is None:
        return None
    namespace = instance.tag.partition("}")[0] + "}"
    return instance.find("/".join(namespace + step for step in path.split("/")))


def _text(instance: ElementTree.Element | None, path: str) -> str | None:
    element = _find(instance, path)
    return None if element is None else element.text


def _attribute(instance: ElementTree.Element | None, path: str, name: str) -> str | None:
    element = _find(instance, path)
    return None if element is None else element.get(name)


def _memory_size_bytes(domain: ElementTree.Element) -> int | None:
    memory = domain.find("memory")
    try:
        return int(memory.text) * _UNIT_BYTES[memory.get("unit", "KiB")]  # type: ignore[union-attr, arg-type]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None

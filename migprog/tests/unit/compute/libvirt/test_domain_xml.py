# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.compute.libvirt.domain_xml import (
    copied_disks,
    disk_targets,
    read,
)
from migprog.core.server_facts import ServerFacts

NOVA = """<domain type='kvm'><name>instance-00000001</name>
<memory unit='KiB'>524288</memory>
<metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
<nova:package version="34.0.0"/><nova:name>{name}</nova:name>
<nova:owner><nova:user uuid="u-1">admin</nova:user><nova:project uuid="p-1">demo</nova:project>
</nova:owner></nova:instance></metadata></domain>"""


def test_novas_metadata_is_read():
    assert read(NOVA.format(name="web")) == ServerFacts(
        memory_size_bytes=512 * 2**20, server_name="web", project_id="p-1", user_id="u-1"
    )


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_any_version_of_novas_metadata_is_read(version):
    xml = NOVA.format(name="web").replace("nova/1.1", f"nova/{version}")
    assert read(xml).project_id == "p-1"


def test_without_nova_the_domains_name_is_the_servers():
    xml = "<domain><name>vm</name><memory>1024</memory></domain>"
    assert read(xml) == ServerFacts(memory_size_bytes=2**20, server_name="vm")


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
        ("'; DROP TABLE migrations; --", "'; DROP TABLE migrations; --"),
        ("&#10;&quot;", '\n"'),
        ("🦄", "🦄"),
    ],
)
def test_hostile_names_are_data(escaped, name):
    assert read(NOVA.format(name=escaped)).server_name == name


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<domain",
        "<domain/>",
        "<domain><memory unit='parsecs'>1</memory></domain>",
        "<domain><memory>lots</memory></domain>",
        "<domain><metadata><x xmlns='urn:x'/></metadata></domain>",
    ],
)
def test_invalid_xml_has_no_facts(xml):
    assert read(xml) == ServerFacts()


def test_huge_pages_are_seen():
    backing = "<memoryBacking><hugepages/></memoryBacking>"
    assert read(f"<domain>{backing}</domain>").huge_pages
    assert not read("<domain><memoryBacking/></domain>").huge_pages


DEVICES = """<domain><name>vm</name><devices>
<disk type='file' device='disk'><target dev='vda'/></disk>
<disk type='file' device='cdrom'><target dev='sda'/></disk>
<disk type='block' device='lun'><target dev='sdb'/></disk>
<disk type='file'><target dev='vdb'/></disk>
<disk type='file'/>
{}</devices></domain>"""


def test_the_disks_that_may_be_copied_are_named():
    assert disk_targets(DEVICES.format("")) == ("vda", "sdb", "vdb")
    assert disk_targets("no XML") == ()


@pytest.mark.parametrize("device", ["<hostdev type='mdev'/>", "<interface type='hostdev'/>"])
def test_devices_of_the_host_are_seen(device):
    assert read(DEVICES.format(device)).has_host_devices
    assert not read(DEVICES.format("<interface type='bridge'/>")).has_host_devices


def test_disks_that_a_block_migration_copies():
    disk = "<disk type='{}' device='{}'><target dev='{}'/>{}</disk>"
    disks = "".join(
        disk.format(*each)
        for each in (
            ("file", "disk", "vda", ""),
            ("block", "lun", "sda", ""),
            ("network", "disk", "vdb", ""),
            ("file", "cdrom", "sdb", ""),
            ("file", "disk", "vdc", "<readonly/>"),
            ("file", "disk", "vdd", "<shareable/>"),
        )
    )
    xml = f"<domain><devices>{disks}</devices></domain>"
    assert copied_disks(xml) == ("vda", "sda")
    assert copied_disks("<") == ()

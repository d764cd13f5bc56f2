# SPDX-License-Identifier: Apache-2.0
"""A minimal guest: its parameters, the image that it boots, its libvirt definition.

The program is `guest.S`; here its parameters are appended to it.
"""

import struct
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from lab.hosts.errors import LabError
from lab.hosts.nova_metadata import NovaMetadata

LOAD_ADDRESS = 0x100000
READY_ADDRESS = LOAD_ADDRESS + 32
INTERVAL_TIMER_HZ = 1193182
# The interval timer counts 16 bits.
LEAST_TIMER_HZ = 20
PAGE_BYTES = 4096
PAGES_PER_MIB = 2**20 // PAGE_BYTES
WORDS_PER_PAGE = PAGE_BYTES // 4
RESERVED_MIB = 4  # below the region of fill and working set, and the firmware's tables at the top
MOST_USED_MIB = 3072  # the guest runs in 32 bits; what is more lies above 4 GiB, and stays unused
MAX_MEMORY_MIB = 64 * 1024


@dataclass(frozen=True, slots=True)
class Guest:
    """What a guest is and does.

    `fill_mib` of its memory are written once, at its start; the first `working_set_mib` of the same
    region are then dirtied page by page, round and round, at the pace of the segment in force:
    `segments` is ((milliseconds, MiB dirtied per second), ...), repeated for ever. The milliseconds
    are the guest's own: a throttled or paused guest takes longer.
    A guest with `disk_mib` has a disk of that size, full of data, that it never writes to.
    It wakes `timer_hz` times a second, and writes `words_per_page` of each page that it dirties:
    both cost processor time, emulated ones some fifty microseconds each time that it wakes.
    """

    name: str
    memory_mib: int = 64
    fill_mib: int = 32
    working_set_mib: int = 16
    segments: tuple[tuple[int, float], ...] = ((1000, 8.0),)
    disk_mib: int = 0
    nova: NovaMetadata | None = None
    timer_hz: int = 100
    words_per_page: int = 1
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        usable_mib = min(self.memory_mib, MOST_USED_MIB) - RESERVED_MIB
        if not RESERVED_MIB < self.memory_mib <= MAX_MEMORY_MIB:
            raise LabError(f"memory_mib must be over {RESERVED_MIB}, at most {MAX_MEMORY_MIB}")
        if not 0 <= self.fill_mib <= usable_mib or not 1 <= self.working_set_mib <= usable_mib:
            raise LabError(
                f"of {self.memory_mib} MiB of memory, fill_mib and working_set_mib may use"
                f" {usable_mib}; the working set needs 1 at least"
            )
        if not self.segments or any(ms < 10 or pace < 0 for ms, pace in self.segments):
            raise LabError("segments must be (milliseconds >= 10, MiB/s >= 0) pairs, at least one")
        if not LEAST_TIMER_HZ <= self.timer_hz <= 1000:
            raise LabError(f"timer_hz must be {LEAST_TIMER_HZ} to 1000")
        if not 1 <= self.words_per_page <= WORDS_PER_PAGE:
            raise LabError(f"words_per_page must be 1 to {WORDS_PER_PAGE}")

    def parameters(self) -> bytes:
        """Return the parameters that `guest.S` expects after its end."""
        words = [self.fill_mib * PAGES_PER_MIB, self.working_set_mib * PAGES_PER_MIB]
        words += [INTERVAL_TIMER_HZ // self.timer_hz, self.words_per_page]
        for milliseconds, mib_per_second in self.segments:
            ticks = max(1, round(milliseconds * self.timer_hz / 1000))
            pages_per_tick = mib_per_second * PAGES_PER_MIB / self.timer_hz
            words += [ticks, round(pages_per_tick * 2**16)]
        return struct.pack(f"<{len(words) + 2}I", *words, 0, 0)

    def domain_xml(self, kernel: Path, disk: Path | None, kvm: bool) -> str:
        """Return the libvirt definition; both paths as the host sees them."""
        domain = ET.Element("domain", type="kvm" if kvm else "qemu")
        ET.SubElement(domain, "name").text = self.name
        ET.SubElement(domain, "uuid").text = self.uuid
        if self.nova:
            metadata = ET.SubElement(domain, "metadata")
            metadata.append(self.nova.element(self.memory_mib, self.disk_mib))
        ET.SubElement(domain, "memory", unit="MiB").text = str(self.memory_mib)
        ET.SubElement(domain, "vcpu").text = "1"
        system = ET.SubElement(domain, "os")
        ET.SubElement(system, "type", arch="x86_64", machine="pc").text = "hvm"
        ET.SubElement(system, "kernel").text = str(kernel)
        devices = ET.SubElement(domain, "devices")
        if disk:
            _add_disk(devices, disk)
        ET.SubElement(devices, "controller", type="usb", model="none")
        ET.SubElement(devices, "memballoon", model="none")
        return ET.tostring(domain, encoding="unicode")


def _add_disk(devices: ET.Element, path: Path) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="raw")
    ET.SubElement(disk, "source", file=str(path))
    ET.SubElement(disk, "target", dev="vda", bus="virtio")


def assemble(directory: Path) -> bytes:
    """Build the guest's program, without parameters, with intermediate files in `directory`."""
    source = Path(__file__).with_name("guest.S")
    linked, image = directory / "guest.o", directory / "guest.bin"
    for command in (
        ["as", "--32", "-o", linked, source],
        [
            "ld",
            "-m",
            "elf_i386",
            f"-Ttext={LOAD_ADDRESS:#x}",
            "--oformat=binary",
            "-o",
            image,
            linked,
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise LabError(f"{command[0]} failed: {done.stderr.strip()}")
    return image.read_bytes()

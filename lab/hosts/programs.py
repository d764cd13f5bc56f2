# SPDX-License-Identifier: Apache-2.0
"""The programs a lab needs, and the Debian packages they come from."""

import glob
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.hosts.errors import LabError

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = {
    "libvirtd": "libvirt-daemon",
    "qemu-system-x86_64": "qemu-system-x86",
    "as": "binutils",
    "ld": "binutils",
    "unshare": "util-linux",
}
QEMU_DRIVERS = (
    "/usr/lib*/*/libvirt/connection-driver/libvirt_driver_qemu.so",
    "/usr/lib*/libvirt/connection-driver/libvirt_driver_qemu.so",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The paths of the programs."""

    libvirtd: Path
    unshare: Path
    qemu: Path
    qemu_driver: Path


def find_programs(kvm: bool) -> Programs:
    """Find all programs that a lab needs; LabError lists all that are missing."""
    found = {name: shutil.which(name, path=SEARCH_PATH) for name in PACKAGES}
    missing = [f"{name} (Debian package {PACKAGES[name]})" for name in PACKAGES if not found[name]]
    drivers = [path for pattern in QEMU_DRIVERS for path in glob.glob(pattern)]
    if not drivers:
        missing.append("libvirt's QEMU driver (Debian package libvirt-daemon-driver-qemu)")
    if kvm and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        missing.append("/dev/kvm (hardware virtualization; a lab without kvm needs none)")
    if os.geteuid() != 0:
        missing.append("root's rights (a lab makes namespaces and mounts)")
    if missing:
        raise LabError("a lab needs " + ", ".join(missing))
    return Programs(
        libvirtd=Path(str(found["libvirtd"])),
        unshare=Path(str(found["unshare"])),
        qemu=Path(str(found["qemu-system-x86_64"])),
        qemu_driver=Path(drivers[0]),
    )

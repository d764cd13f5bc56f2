# SPDX-License-Identifier: Apache-2.0
"""The part of a host's root directory that is its own: /etc, /run and /var.

`hostinit` completes it with the machine's /usr and the like, seen by the host's processes only.
"""

import contextlib
import uuid
from pathlib import Path

from lab.hosts.ports import ADDRESS, PortBlock
from lab.hosts.programs import Programs

DRIVERS = "/etc/libvirt/drivers"
PROGRAMS = "/etc/libvirt/programs"
IMAGES = Path("/var/lib/libvirt/images")
LOGS = ("var/log/libvirt/output.log", "var/log/libvirt/libvirtd.log")
DIRECTORIES = ("run", "tmp", "sys", "dev", "var/log/libvirt")
COPIED = ("ld.so.cache", "localtime")

# libvirt's build may insist on accounts for QEMU, which only its system package creates.
ACCOUNTS = {"root": 0, "libvirt-qemu": 65532, "qemu": 65532, "kvm": 65533, "nobody": 65534}

NSSWITCH_CONF = """\
passwd: files
group: files
hosts: files
"""

LIBVIRTD_CONF = """\
host_uuid = "{host_uuid}"
unix_sock_dir = "{socket_directory}"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

# Without log daemon, security driver, control groups, or a mount namespace for each guest. With
# root's capabilities, for post-copy's userfaultfd.
QEMU_CONF = """\
user = "root"
group = "root"
clear_emulator_capabilities = 0
remember_owner = 0
security_driver = "none"
seccomp_sandbox = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
migration_host = "{address}"
migration_address = "{address}"
migration_port_min = {first_port}
migration_port_max = {last_port}
"""


def write_root(
    root: Path,
    socket_directory: Path,
    host_names: tuple[str, ...],
    ports: PortBlock,
    programs: Programs,
) -> None:
    """Create `root` for a host whose libvirtd listens in `socket_directory`, among `host_names`."""
    for name in (*DIRECTORIES, str(IMAGES)[1:], DRIVERS[1:], PROGRAMS[1:]):
        (root / name).mkdir(parents=True)
    etc = root / "etc"
    for name in COPIED:
        with contextlib.suppress(FileNotFoundError):
            (etc / name).write_bytes(Path("/etc", name).read_bytes())
    accounts = ACCOUNTS.items()
    (etc / "passwd").write_text("".join(f"{name}:x:{id}:{id}::/:\n" for name, id in accounts))
    (etc / "group").write_text("".join(f"{name}:x:{id}:\n" for name, id in accounts))
    (etc / "nsswitch.conf").write_text(NSSWITCH_CONF)
    # A line each: the first name of a line is the canonical one, which libvirt returns.
    lines = ["127.0.0.1 localhost", *(f"{ADDRESS} {name}" for name in host_names)]
    (etc / "hosts").write_text("\n".join(lines) + "\n")
    # Only the QEMU driver: the others would meddle with the machine's network and devices. Only
    # the one QEMU, as libvirt starts each that it finds to see what it can.
    (root / DRIVERS[1:] / programs.qemu_driver.name).symlink_to(programs.qemu_driver)
    (root / PROGRAMS[1:] / programs.qemu.name).symlink_to(programs.qemu)
    (etc / "libvirt/libvirtd.conf").write_text(
        LIBVIRTD_CONF.format(host_uuid=uuid.uuid4(), socket_directory=socket_directory)
    )
    (etc / "libvirt/qemu.conf").write_text(
        QEMU_CONF.format(address=ADDRESS, first_port=ports.first, last_port=ports.last)
    )

# SPDX-License-Identifier: Apache-2.0
"""TCP ports of the loopback address that no other lab uses."""

import socket

from lab.hosts.errors import LabError

ADDRESS = "127.0.0.2"  # loopback too, but libvirt refuses 127.0.0.1
BLOCK = 64  # ports a host has, of which the first is the guard: two a migration with a disk
FIRST, LAST = 20000, 32767  # below the ports that the kernel hands out itself


class PortBlock:
    """A range of ports for one host's incoming migrations, ours until released.

    A socket bound to the first port guards the others: the kernel grants it to one lab only, and
    takes it back when the process dies. Within the range libvirt looks for a free port itself.
    """

    def __init__(self) -> None:
        for base in range(FIRST, LAST - BLOCK, BLOCK):
            guard = socket.socket()
            try:
                guard.bind((ADDRESS, base))
            except OSError:
                guard.close()
                continue
            self._guard = guard
            self.first, self.last = base + 1, base + BLOCK - 1
            return
        raise LabError(f"no {BLOCK} free TCP ports between {FIRST} and {LAST}")

    def release(self) -> None:
        """Release the range."""
        self._guard.close()

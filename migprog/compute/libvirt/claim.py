# SPDX-License-Identifier: Apache-2.0
"""A claim to a hypervisor: of all agents that share a network namespace one alone has it.

It is a name of an abstract Unix socket: it needs no file and no right, and the kernel takes it back
when the process ends, however that ends. Agents in other network namespaces cannot see it.
"""

import contextlib
import hashlib
import os
import socket
import struct
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from migprog.concurrency import native_socket

# Each process that asks who holds the claim takes one place until that one ends.
_BACKLOG = 128


def identity(uri: str, driver: str, capabilities: str) -> str:
    """Name a hypervisor by what libvirt says of it, whichever URI leads there.

    ``capabilities`` is libvirt's XML; ``uri`` stands in where that names no host. A user has a
    libvirt of its own behind ``/session``.
    """
    path = urlsplit(uri).path
    owner = str(os.getuid()) if path == "/session" else ""
    host_uuid = None
    with contextlib.suppress(ElementTree.ParseError):
        # libvirt writes it anew from what it knows: it has no entities and no document type.
        host_uuid = ElementTree.fromstring(capabilities).findtext("host/uuid")  # noqa: S314
    return "\n".join([driver, host_uuid or uri, path if host_uuid else "", owner])


class Claim:
    """Of one thread. It is held from :meth:`take` to :meth:`release`, or to the process's end."""

    def __init__(self) -> None:
        self._socket: Any = None

    def take(self, identity: str) -> str | None:
        """Take the claim; return None, or who holds it."""
        if self._socket is not None:
            return None
        digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
        name = f"\0migprog-agent-{digest}"
        claimed = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claimed.bind(name)
            claimed.listen(_BACKLOG)
        except OSError:
            claimed.close()
            return _holder(name)
        self._socket = claimed
        return None

    def release(self) -> None:
        """Let another agent have it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _holder(name: str) -> str:
    asking = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        asking.setblocking(False)
        asking.connect(name)
        size = struct.calcsize("3i")
        pid, uid, _ = struct.unpack(
            "3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
    except OSError:
        return "another process"
    finally:
        asking.close()
    return f"process {pid} of user {uid}" if pid > 0 else f"a process of user {uid} in a container"

# SPDX-License-Identifier: Apache-2.0
"""Claim a hypervisor, so that only one of all agents in a network namespace watches it.

The claim is a name of an abstract Unix socket: it needs no file and no permission, and the kernel
releases it when the process ends in any way. Agents in other network namespaces cannot see it.
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

# Each process that asks for the holder takes one place until that process ends.
_BACKLOG = 128


def identity(uri: str, driver: str, capabilities: str) -> str:
    """Name a hypervisor by libvirt's information, whichever URI leads to it.

    ``capabilities`` is libvirt's XML; ``uri`` is used if that names no host. A user has a libvirt
    of its own behind ``/session``.
    """
    path = urlsplit(uri).path
    owner = str(os.getuid()) if path == "/session" else ""
    host_uuid = None
    with contextlib.suppress(ElementTree.ParseError):
        # libvirt generates it: it has no entities and no document type.
        host_uuid = ElementTree.fromstring(capabilities).findtext("host/uuid")  # noqa: S314
    return "\n".join([driver, host_uuid or uri, path if host_uuid else "", owner])


class Claim:
    """Used by one thread. Held from :meth:`take` to :meth:`release`, or to the process's end."""

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
        """Release the claim for another agent."""
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

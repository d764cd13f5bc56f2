# SPDX-License-Identifier: Apache-2.0
"""The facts of a server that do not change while it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The facts of a server that do not change while it runs. None: not known.

    ``memory_resident_bytes`` is its QEMU's resident memory, including QEMU's own: of the guest's
    memory only what was ever written, and not that in ``huge_pages``. It is not in the XML, but
    read when a migration begins. ``has_host_devices``: devices of the host are passed through to
    it, whose state is moved with it.
    """

    memory_size_bytes: int | None = None
    memory_resident_bytes: int | None = None
    huge_pages: bool = False
    has_host_devices: bool = False
    server_name: str | None = None
    project_id: str | None = None
    user_id: str | None = None

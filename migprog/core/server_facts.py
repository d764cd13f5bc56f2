# SPDX-License-Identifier: Apache-2.0
"""What stays the same of a server while it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What stays the same while a server runs. None: not told.

    ``memory_resident_bytes`` is what its QEMU has in memory, of its own too: of the guest's memory
    no more than that was ever written, unless it is in ``huge_pages``, which are not counted. It is
    no part of the XML, and read as a migration begins. ``has_host_devices``: devices of the host
    are passed to it, whose state is moved with it.
    """

    memory_size_bytes: int | None = None
    memory_resident_bytes: int | None = None
    huge_pages: bool = False
    has_host_devices: bool = False
    server_name: str | None = None
    project_id: str | None = None
    user_id: str | None = None

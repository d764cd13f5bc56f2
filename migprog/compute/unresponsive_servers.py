# SPDX-License-Identifier: Apache-2.0
"""Log when libvirt does not answer for a server, with the consequences, and when it does again."""

import logging

from migprog.core.duration import describe
from migprog.core.reminders import Reminders

LOG = logging.getLogger(__name__)


class UnresponsiveServers:
    """Servers whose jobs libvirt does not report. ``at`` and ``now`` are a monotonic clock's."""

    def __init__(self) -> None:
        self._silences: dict[str, float] = {}
        # Logged, so their answer is logged, too.
        self._logged: dict[str, Reminders] = {}

    def begins(self, server_uuid: str, at: float) -> None:
        self._silences.setdefault(server_uuid, at)

    def ends(self, server_uuid: str, at: float, gone: bool) -> None:
        self._silences.pop(server_uuid, None)
        logged = self._logged.pop(server_uuid, None)
        if logged is not None and not gone:
            LOG.info(
                "server %s: libvirt answers again after %s",
                *(server_uuid, describe(at - logged.since)),
            )

    def clear(self) -> None:
        """Forget all: libvirt itself cannot be reached."""
        self._silences.clear()
        self._logged.clear()

    def look(self, now: float, timeout_seconds: float) -> None:
        """Log servers without an answer for ``timeout_seconds``; ever more rarely."""
        for server_uuid, since in self._silences.items():
            if server_uuid not in self._logged:
                if now - since < timeout_seconds:
                    continue
                self._logged[server_uuid] = Reminders(since, now)
            seconds = self._logged[server_uuid].due(now)
            if seconds is not None:
                LOG.warning(
                    "server %s: libvirt has not answered for %s (another call holds the "
                    "server's job lock); a migration of this server is not seen until libvirt "
                    "answers; other servers are not affected; check QEMU's process of the server",
                    *(server_uuid, describe(seconds)),
                )

    def next_look_at(self, timeout_seconds: float) -> float | None:
        """When one must be logged; None while none must."""
        waiting = (at for uuid, at in self._silences.items() if uuid not in self._logged)
        first = (at + timeout_seconds for at in waiting)
        return min((*first, *(each.log_at for each in self._logged.values())), default=None)

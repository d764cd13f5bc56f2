# SPDX-License-Identifier: Apache-2.0
"""Log when libvirt does not answer, with the consequences, and when it answers again."""

import logging
import math

from migprog.core.reminders import Reminders
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# An unreachable libvirt is logged again after the first of these, then after twice as long each
# time, up to the second.
_REPEAT_SECONDS = (30.0, 600.0)


class UnresponsiveServers:
    """Servers whose jobs libvirt does not report. ``at`` and ``now`` are a monotonic clock's."""

    def __init__(self) -> None:
        self._silences: dict[str, float] = {}
        # Those that have not answered for too long.
        self._logged: dict[str, Reminders] = {}

    def begins(self, server_uuid: str, at: float) -> None:
        self._silences.setdefault(server_uuid, at)

    def ends(self, server_uuid: str, at: float, gone: bool) -> None:
        self._silences.pop(server_uuid, None)
        logged = self._logged.pop(server_uuid, None)
        if logged is not None and not gone:
            LOG.info(
                "server %s: libvirt answers again after %.0f s", server_uuid, at - logged.since
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
                    "server %s: libvirt has not answered for %.0f s (another call holds the "
                    "server's job lock); a migration of this server is not seen until libvirt "
                    "answers; other servers are not affected; check QEMU's process of the server",
                    *(server_uuid, seconds),
                )

    def next_look_at(self, timeout_seconds: float) -> float | None:
        """When one must be logged; None while none must."""
        waiting = (at for uuid, at in self._silences.items() if uuid not in self._logged)
        first = (at + timeout_seconds for at in waiting)
        return min((*first, *(each.log_at for each in self._logged.values())), default=None)


class Libvirt:
    """Whether the libvirt behind ``uri`` answers; at first it does not."""

    def __init__(self, uri: str, now: float) -> None:
        self._uri = uri
        self._attempts = 0
        # When an attempt to reach it last ended in any way.
        self._sign_at = now
        self._reminders = _reminders(now)
        metrics.libvirt_up(uri, False)

    def answers(self, now: float) -> None:
        """Record an answer."""
        if self._reminders.logged:
            seconds = now - self._reminders.since
            LOG.info("%s: libvirt answers after %.0f s", self._uri, seconds)
        self._attempts, self._sign_at, self._reminders = 0, now, _reminders(now)
        metrics.libvirt_up(self._uri, True)

    def fails(self, error: str, now: float, next_seconds: float) -> None:
        """Record a failed attempt to reach it; the next follows in ``next_seconds``."""
        self._sign_at = now
        self._attempts += 1
        metrics.libvirt_up(self._uri, False)
        if self._reminders.due(now) is not None:
            LOG.warning(
                "%s: cannot reach libvirt: %s (attempt %d); migrations of this host are not "
                "seen until it answers; next attempt in %g s",
                *(self._uri, error, self._attempts, next_seconds),
            )

    def look(self, now: float, timeout_seconds: float) -> None:
        """Log that it has neither answered nor failed for ``timeout_seconds``."""
        if now < self._sign_at + timeout_seconds:
            return
        seconds = self._reminders.due(now)
        if seconds is not None:
            metrics.libvirt_up(self._uri, False)
            LOG.warning(
                "%s: libvirt has not answered for %.0f s; migrations of this host are not seen "
                "until it does; check libvirt's daemon",
                *(self._uri, seconds),
            )

    def next_look_at(self, timeout_seconds: float) -> float:
        return max(self._sign_at + timeout_seconds, self._reminders.log_at)


def _reminders(now: float) -> Reminders:
    """Return those of a libvirt that answered ``now``: the first failure is logged at once."""
    first, longest = _REPEAT_SECONDS
    return Reminders(now, -math.inf, pause_seconds=first, longest_pause_seconds=longest)

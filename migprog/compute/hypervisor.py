# SPDX-License-Identifier: Apache-2.0
"""What an agent knows of its hypervisor: its name, whether libvirt answers, how much runs there."""

from migprog import systemd
from migprog.compute.libvirt.loop_messages import (
    AnswersAgain,
    Connected,
    Disconnected,
    HostInventory,
    NoAnswer,
)
from migprog.compute.settings import Settings
from migprog.compute.unresponsive_libvirt import Libvirt
from migprog.compute.unresponsive_servers import UnresponsiveServers


class Hypervisor:
    """By the messages of its :class:`migprog.compute.libvirt.host.Host`; logs what does not answer.

    ``node``: its host name, None before the first connection. ``inventory``: None while libvirt
    cannot be reached. ``now`` is a monotonic clock's.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.node: str | None = None
        self.inventory: HostInventory | None = None
        self._servers = UnresponsiveServers()
        self._libvirt: Libvirt | None = None

    def is_awaited(self, now: float) -> None:
        """Record that the agent begins to connect."""
        self._libvirt = Libvirt(self.settings.connection_uri, now)

    def take(
        self,
        message: Connected | Disconnected | HostInventory | NoAnswer | AnswersAgain,
        now: float,
    ) -> None:
        match message:
            case Connected():
                self.node = message.node
                self._answers(now)
            case HostInventory():
                self.inventory = message
                self._answers(now)
            case Disconnected():
                if self._libvirt is not None:
                    again_seconds = self.settings.scan_interval_seconds
                    self._libvirt.fails(message.error, now, again_seconds)
                self.inventory = None
                self._servers.clear()
            case NoAnswer():
                self._servers.begins(message.server_uuid, message.at)
            case AnswersAgain():
                self._servers.ends(message.server_uuid, message.at, message.gone)

    def _answers(self, now: float) -> None:
        if self._libvirt is not None:
            self._libvirt.answers(now)

    def look(self, now: float) -> None:
        """Log what has not answered for too long."""
        self._servers.look(now, self.settings.libvirt_timeout_seconds)
        if self._libvirt is not None:
            self._libvirt.look(now, self._search_seconds)

    def next_look_at(self) -> float | None:
        """When something may have to be logged; None while nothing can."""
        servers_at = self._servers.next_look_at(self.settings.libvirt_timeout_seconds)
        if self._libvirt is None:
            return servers_at
        libvirt_at = self._libvirt.next_look_at(self._search_seconds)
        return libvirt_at if servers_at is None else min(servers_at, libvirt_at)

    @property
    def _search_seconds(self) -> float:
        """How long without a completed search until libvirt counts as not answering."""
        return self.settings.scan_interval_seconds + self.settings.libvirt_timeout_seconds

    def status(self, migrations: int) -> systemd.Status:
        """Return what is watched; the agent serves once it has been connected to libvirt."""
        uri, libvirt = self.settings.connection_uri, self._libvirt
        if libvirt is None or self.node is None:
            return systemd.Status(False, f"{uri}: waiting for libvirt")
        watched = f"watching {migrations} migration(s) of {self.node}"
        away = "" if libvirt.is_up else "; libvirt does not answer"
        return systemd.Status(True, f"{uri}: {watched}{away}")

# SPDX-License-Identifier: Apache-2.0
"""The actions on migrations that libvirt has not answered, operators' and steering's.

There is one at a time on each server, whoever asked for it. Used by the agent's loop alone.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Action:
    """``log_hang``: see :meth:`ActionsInProgress.begin`."""

    since: float
    log_hang: Callable[[], None]
    hangs: bool = False


class ActionsInProgress:
    """By server; times are a monotonic clock's."""

    def __init__(self) -> None:
        self._actions: dict[str, _Action] = {}

    def __contains__(self, server_uuid: str) -> bool:
        return server_uuid in self._actions

    def begin(self, server_uuid: str, now: float, log_hang: Callable[[], None]) -> None:
        """Record that an action on a server begins; ``log_hang`` logs that it has no answer."""
        self._actions[server_uuid] = _Action(now, log_hang)

    def end(self, server_uuid: str) -> None:
        """Record that libvirt has answered, or was not asked after all."""
        del self._actions[server_uuid]

    def look(self, now: float, timeout_seconds: float) -> None:
        """Log the actions that libvirt has not answered for ``timeout_seconds``, once each."""
        for each in self._actions.values():
            if not each.hangs and now - each.since > timeout_seconds:
                each.hangs = True
                each.log_hang()

    def next_look_at(self, timeout_seconds: float) -> float | None:
        """When an action may be logged as hanging; None while none can."""
        waiting = (each.since for each in self._actions.values() if not each.hangs)
        return min((since + timeout_seconds for since in waiting), default=None)

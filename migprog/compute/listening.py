# SPDX-License-Identifier: Apache-2.0
"""Listen for remote requests, where the options permit any."""

import threading
from collections.abc import Callable

from migprog.compute.endpoint import Endpoint
from migprog.compute.reporting.sender import Enabled, Sender
from migprog.compute.settings import Settings
from migprog.concurrency import Inbox

# Serves an endpoint under the host's name, and calls its third argument with whether it does.
Listen = Callable[[str, Endpoint, Callable[[bool], None]], None]


def start(
    listen: Listen, host: str, node: str, inbox: Inbox, settings: Settings, sender: Sender
) -> None:
    """Listen in a thread of its own; the heartbeats say which requests are accepted."""
    allowed = Enabled(settings.allow_actions, settings.measuring.is_allowed)
    endpoint = Endpoint(inbox, allow_actions=allowed.actions)

    def listens(does: bool) -> None:
        sender.set_enabled(allowed if does else Enabled())

    threading.Thread(
        target=listen, args=(host, endpoint, listens), name=f"listen {node}", daemon=True
    ).start()

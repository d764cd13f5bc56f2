# SPDX-License-Identifier: Apache-2.0
"""The end of servers and transports, which oslo.messaging (18.3) holds up while a broker is away:
it waits for as long as that lasts."""

import threading
from collections.abc import Callable
from typing import Any

# Where the broker is away nothing more comes in, and connections cannot be closed in good order.
_AWAY_SECONDS = 0.5
# That the broker is away may not be known yet. What is lost with this is the good order alone.
_CLOSE_SECONDS = 1.0


def stop_serving(server: Any, *, is_away: bool) -> None:
    """Take no more messages, and finish those at hand; not waiting for a broker that is away."""

    def stop() -> None:
        server.stop()
        server.wait()

    if is_away:
        _in_time(stop, "stop serving", _AWAY_SECONDS)
    else:
        stop()


def close(transport: Any, *, is_away: bool) -> None:
    """Close a transport's connections, or leave them to the end of the process."""
    _in_time(transport.cleanup, "close transport", _AWAY_SECONDS if is_away else _CLOSE_SECONDS)


def _in_time(work: Callable[[], None], name: str, seconds: float) -> None:
    working = threading.Thread(target=work, name=name, daemon=True)
    working.start()
    working.join(seconds)

# SPDX-License-Identifier: Apache-2.0
"""Stops servers and transports in bounded time.

oslo.messaging (18.3) would wait for a broker that is away, however long that lasts.
"""

import threading
from collections.abc import Callable
from typing import Any

# Where the broker is away no message comes in, and connections cannot be closed properly.
_AWAY_SECONDS = 0.5
# The outage may not be known yet. After the timeout connections are not closed properly, no more.
_CLOSE_SECONDS = 1.0


def stop_serving(server: Any, *, is_away: bool) -> None:
    """Stop receiving, and finish the calls in progress; do not wait for a broker that is away."""

    def stop() -> None:
        server.stop()
        server.wait()

    if is_away:
        _in_time(stop, "stop serving", _AWAY_SECONDS)
    else:
        stop()


def close(transport: Any, *, is_away: bool) -> None:
    """Close a transport's connections; after a timeout leave that to the end of the process."""
    _in_time(transport.cleanup, "close transport", _AWAY_SECONDS if is_away else _CLOSE_SECONDS)


def _in_time(work: Callable[[], None], name: str, seconds: float) -> None:
    working = threading.Thread(target=work, name=name, daemon=True)
    working.start()
    working.join(seconds)

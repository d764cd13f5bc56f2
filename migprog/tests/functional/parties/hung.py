# SPDX-License-Identifier: Apache-2.0
"""Servers that hang."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose connections are not even begun to be established, as of a host that is off."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]

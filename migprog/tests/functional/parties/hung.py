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


def begin_to_answer(listener: socket.socket) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        while True:
            client, _ = listener.accept()
            stack.enter_context(client)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

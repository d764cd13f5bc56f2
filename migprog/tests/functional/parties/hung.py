# SPDX-License-Identifier: Apache-2.0
"""Servers that hang."""

import contextlib
import itertools
import socket
import threading
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


@contextlib.contextmanager
def dripping(answer: bytes, pause_seconds: float = 0.2) -> Iterator[int]:
    """A port that answers each request by a byte of ``answer`` after the other, then by blanks
    for ever."""
    ends = threading.Event()

    def drip(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.recv(65536)
            for byte in itertools.chain(answer, itertools.repeat(ord(" "))):
                client.sendall(bytes([byte]))
                if ends.wait(pause_seconds):
                    return

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=drip, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            ends.set()
            listener.shutdown(socket.SHUT_RDWR)

# SPDX-License-Identifier: Apache-2.0
"""A network between two programs that can be cut: nothing passes then.

It works on any machine, without a firewall. As in a network that is cut, neither side gets an
error: an open connection stays open, a new one is not answered, and what is sent waits.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
_CHUNK_BYTES = 65536
_CALL_SECONDS = 10.0


class Relay:
    """Relays between ``port`` and ``target_port`` of the loopback address."""

    port: int

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._delay_seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        server = self._call(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_error: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Stop passing data, in both directions."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def silence(self) -> None:
        """Let nothing pass any more on the connections that there are, for good; new ones work. So
        does a server whose address another one has taken over."""
        self._loop.call_soon_threadsafe(lambda: self._silent.update(self._writers))

    def forget(self) -> None:
        """Reset the existing connections, as a restarted host does."""
        self._loop.call_soon_threadsafe(self._break_all)

    def delay(self, seconds: float) -> None:
        """Delay all further data by so much."""
        self._delay_seconds = seconds

    def redirect(self, target_port: int) -> None:
        """Relay new connections to another port."""
        self._target_port = target_port

    def mend(self, forgotten: bool) -> None:
        """Let pass what comes, and what has waited; ``forgotten``: connections are broken instead,
        as by a firewall that does not know them any more."""
        if forgotten:
            self._loop.call_soon_threadsafe(self._break_all)
        self._loop.call_soon_threadsafe(self._open.set)

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._open.wait()
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            self._drop(writer)
            return
        self._writers.add(there[1])
        await asyncio.gather(self._carry(reader, there[1]), self._carry(there[0], writer))
        for each in (writer, there[1]):
            self._drop(each)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._open.wait()
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                if writer in self._silent:
                    continue
                writer.write(data)
                await writer.drain()
        await self._open.wait()
        # AMQP never half-closes: close both directions.
        self._drop(writer)

    def _break_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
            self._writers.discard(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    async def _end(self) -> None:
        self._break_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

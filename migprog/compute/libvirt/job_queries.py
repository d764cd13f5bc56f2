# SPDX-License-Identifier: Apache-2.0
"""Query servers for their jobs in real threads, so that one that hangs delays no other.

libvirt answers for one server at a time: a query for a server's job waits, up to half a minute,
while another call holds that server's lock. So one thread queries all servers one after the other;
if one does not answer, the thread is left waiting for it, with its connection, and another thread
continues with the rest on a new one. From then on libvirt is first asked, without waiting, whether
a server's lock is held: those that would not answer are not queried. At most
:data:`MAX_WAITING` threads wait: each of them occupies one of libvirt's own threads, of which there
are few.
"""

import collections
import enum
import queue
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from migprog.compute.libvirt.loop_messages import AnswersAgain, NoAnswer
from migprog.concurrency import Inbox, native_queue, native_thread

MAX_WAITING = 3
# An answer takes about 1 ms, and 10 ms on a busy host.
_PATIENCE_SECONDS = 0.5


class Lock(enum.Enum):
    """Whether a server's lock is held; by a JOB that may be a migration, or by something else."""

    FREE = "free"
    HELD = "held"
    JOB = "job"


class Connection(Protocol):
    """The connection of one thread: a ``ThreadConnection``, except in tests."""

    def get(self) -> Any: ...

    def close(self) -> None: ...


class JobQueries:
    """Used by one thread, except ``drop``.

    ``connect`` makes a connection, which is not open yet. ``ask`` queries a server by it and
    returns whether it answered; ``lock`` never waits for a server. Their third argument is what
    :meth:`ask_all` was given for the server, None where a server is waited for.
    """

    def __init__(
        self,
        inbox: Inbox,
        connect: Callable[[], Connection],
        ask: Callable[[Connection, str, Any], bool],
        lock: Callable[[Connection, str, Any], Lock],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._inbox = inbox
        self._connect = connect
        self._ask = ask
        self._lock = lock
        self._patience_seconds = patience_seconds
        # Changed by single steps of the interpreter alone: eventlet's locks do not work here.
        self._waited_for: set[str] = set()
        self._unanswered: set[str] = set()
        # Those whose lock queries have no answer either.
        self._locks_waited_for: set[str] = set()
        self.connection = connect()

    def ask_all(self, servers: Mapping[str, Any]) -> None:
        """Query servers, by UUID, for their jobs; return when all that do not hang have answered.

        ``connection`` is the one to use; it is replaced if a server hangs. Raises what ``ask``,
        ``lock`` and ``connection.get`` raise.
        """
        todo = collections.deque(servers.items())
        # If even several lock queries have no answer, libvirt itself hangs.
        while todo and len(self._locks_waited_for) < MAX_WAITING:
            self.connection.get()
            round_ = _Round(self, self.connection, todo)
            native_thread(round_.run, "search")
            if not round_.ends_within(self._patience_seconds):
                self.connection = self._connect()
                current = round_.current
                if not self._leave(round_, current):
                    return
                # Query its lock now: when a job began is not known once the job has failed.
                todo.appendleft(current)
            elif round_.error is not None:
                raise round_.error

    def forget(self, present: Collection[str]) -> None:
        """Drop servers that are gone."""
        self.drop(set(self._unanswered) - set(present))

    def drop(self, servers: Collection[str]) -> None:
        """Drop servers that need no query any more; any thread may call this."""
        for server_uuid in servers:
            self._answers(server_uuid, gone=True)

    def reset(self) -> None:
        """Drop all servers: libvirt is disconnected, and all calls return."""
        self._unanswered.clear()
        self.connection.close()

    def take(self, connection: Connection, server_uuid: str, server: Any) -> None:
        """Query one server; runs in a round's thread."""
        if not (self._unanswered or self._waited_for or self._locks_waited_for):
            # Usually nothing hangs; this query may be the first that does.
            if self._ask(connection, server_uuid, server) and self._unanswered:
                self._answers(server_uuid)
            return
        if server_uuid in self._locks_waited_for:
            return
        # Each server is queried twice only while one hangs.
        lock = Lock.FREE
        if self._unanswered:
            self._locks_waited_for.add(server_uuid)
            try:
                lock = self._lock(connection, server_uuid, server)
            finally:
                self._locks_waited_for.discard(server_uuid)
        if server_uuid in self._waited_for:
            return
        if lock is Lock.FREE:
            if self._ask(connection, server_uuid, server):
                self._answers(server_uuid)
            return
        self._no_answer(server_uuid)
        if lock is Lock.JOB and len(self._waited_for) < MAX_WAITING:
            self._waited_for.add(server_uuid)
            try:
                native_thread(lambda: self._wait_for(server_uuid), f"search {server_uuid}")
            except BaseException:
                # No thread will.
                self._waited_for.discard(server_uuid)
                raise

    def waited(self, connection: Connection, server_uuid: str, server: Any) -> None:
        """Handle the return of a call that was left waiting; runs in a round's thread."""
        self._waited_for.discard(server_uuid)
        if server_uuid in self._unanswered:
            # It timed out. A job that ends is shown only for a moment: query it at once.
            self.take(connection, server_uuid, server)

    def _leave(self, round_: "_Round", current: tuple[str, Any]) -> bool:
        """Leave a round with the server that hangs; return False if libvirt itself hangs."""
        server_uuid, _ = current
        self._waited_for.add(server_uuid)
        hangs = server_uuid in self._locks_waited_for
        if not hangs:
            self._no_answer(server_uuid)
        round_.left_at = current
        if round_.ended:
            self._waited_for.discard(server_uuid)
            round_.connection.close()
        return not hangs

    def _wait_for(self, server_uuid: str) -> None:
        """Wait for a server whose lock is held by a job, as long as it is."""
        connection = self._connect()
        try:
            while not self._ask(connection, server_uuid, None):
                if self._lock(connection, server_uuid, None) is not Lock.JOB:
                    return
            self._answers(server_uuid)
        finally:
            self._waited_for.discard(server_uuid)
            connection.close()

    def _no_answer(self, server_uuid: str) -> None:
        if server_uuid not in self._unanswered:
            self._unanswered.add(server_uuid)
            self._inbox.put(NoAnswer(server_uuid=server_uuid, at=time.monotonic()))

    def _answers(self, server_uuid: str, gone: bool = False) -> None:
        if server_uuid in self._unanswered:
            self._unanswered.discard(server_uuid)
            self._inbox.put(AnswersAgain(server_uuid=server_uuid, at=time.monotonic(), gone=gone))


class _Round:
    """Queries servers until all have answered, or until it is left with one that hangs."""

    def __init__(
        self,
        asking: JobQueries,
        connection: Connection,
        todo: "collections.deque[tuple[str, Any]]",
    ) -> None:
        self._asking = asking
        self.connection = connection
        self._todo = todo
        self._asked = 0
        self._through: queue.SimpleQueue[bool] = native_queue()
        self.current: tuple[str, Any] = ("", None)
        # The server for which it was left; set by the thread that waits for the round.
        self.left_at: tuple[str, Any] | None = None
        self.ended = False
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while self.left_at is None:
                try:
                    self.current = self._todo.popleft()
                except IndexError:
                    break
                self._asked += 1
                self._asking.take(self.connection, *self.current)
        except Exception as error:
            self.error = error
        # In this order: the thread that leaves the round sets the one and then reads the other.
        self.ended = True
        if self.left_at is not None:
            try:
                self._asking.waited(self.connection, *self.left_at)
            finally:
                self.connection.close()
        self._through.put(True)

    def ends_within(self, patience_seconds: float) -> bool:
        """Wait for the end; return False when one server takes longer than that."""
        while True:
            asked = self._asked
            try:
                return self._through.get(timeout=patience_seconds)
            except queue.Empty:
                if self._asked == asked > 0:
                    return False

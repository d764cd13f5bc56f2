# SPDX-License-Identifier: Apache-2.0
"""Sends answers to remote calls without blocking the threads that serve the calls.

oslo.messaging (18.3) tries for a minute to deliver an answer whose queue does not exist, in the
thread that serves the call: as many such calls as there are threads stop a server. The queue of a
client that reconnects is missing for a moment, too, so several attempts are made: the first at
once, further ones by one thread for all, for a bounded number of answers.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging as messaging
from oslo_messaging._drivers import amqp, common

from migprog.core.log_limit import LogLimit

LOG = logging.getLogger(__name__)

# migprog's clients wait no longer.
_GIVE_UP_SECONDS = 10.0
_PAUSES_SECONDS = (0.25, 4.0)
_MOST_WAITING = 200
# AMQP's limit.
_MAX_NAME_BYTES = 255
_LOOK_SECONDS = 0.1
# Between two log lines about dropped answers.
_LOG_SECONDS = 60.0

# The driver's errors of a queue or an exchange that does not exist.
_MISSING: tuple[type[Exception], ...] = (
    messaging.MessageUndeliverable,
    getattr(amqp, "AMQPDestinationNotFound", messaging.MessageUndeliverable),
)
Send = Callable[[], None]


@dataclass(order=True, slots=True)
class _Late:
    """An answer to send again at ``due`` (monotonic clock); ``number`` keeps the order."""

    due: float
    number: int
    queue: str = field(compare=False)
    send: Send = field(compare=False)
    give_up_at: float = field(compare=False)
    pause: float = field(compare=False, default=_PAUSES_SECONDS[0])


class Replies:
    """Sends answers; has a thread only while answers wait for another attempt."""

    def __init__(self, give_up_seconds: float = _GIVE_UP_SECONDS) -> None:
        self._give_up_seconds = give_up_seconds
        self._lock = threading.Lock()
        self._late: list[_Late] = []
        self._numbers = itertools.count()
        self._running = False
        self._lines = LogLimit(_LOG_SECONDS)

    def send(self, queue: Any, send: Send) -> None:
        """Call ``send``; if its queue is missing, again later, in another thread.

        ``queue`` comes from the caller's message. If it cannot be a queue's name, the answer is
        dropped: the driver would take the error for a broker's failure, and close the connection.
        """
        if not _is_name(queue):
            with self._lock:
                self._give_up(queue)
            return
        try:
            send()
        except _MISSING:
            now = time.monotonic()
            pause = _PAUSES_SECONDS[0]
            number = next(self._numbers)
            late = _Late(now + pause, number, queue, send, now + self._give_up_seconds)
            with self._lock:
                if len(self._late) >= _MOST_WAITING:
                    self._give_up(queue)
                    return
                heapq.heappush(self._late, late)
                if not self._running:
                    # If it cannot be started, the answer waits for the next one's thread.
                    threading.Thread(target=self._run, name="replies", daemon=True).start()
                    self._running = True

    def _run(self) -> None:
        while (due := self._next()) is not None:
            missing = set[str]()
            for late in due:
                # One attempt for each queue: if it is missing, all its answers wait.
                if late.queue in missing or not self._sent(late):
                    missing.add(late.queue)
                    self._put_off(late)
            time.sleep(_LOOK_SECONDS)

    def _next(self) -> list[_Late] | None:
        """Return the answers that are due now; None when none waits any more."""
        now, due = time.monotonic(), []
        with self._lock:
            self._running = bool(self._late)
            if not self._running:
                return None
            while self._late and self._late[0].due <= now:
                due.append(heapq.heappop(self._late))
        return due

    def _sent(self, late: _Late) -> bool:
        try:
            late.send()
        except _MISSING:
            return False
        except Exception:
            LOG.exception(
                "failed to send the answer to a remote call to queue %.80r; answer dropped, the "
                "client will time out and call again; report this traceback as a bug",
                late.queue,
            )
        return True

    def _put_off(self, late: _Late) -> None:
        late.pause = min(2 * late.pause, _PAUSES_SECONDS[1])
        late.due = time.monotonic() + late.pause
        with self._lock:
            if late.due > late.give_up_at:
                self._give_up(late.queue)
            else:
                heapq.heappush(self._late, late)

    def _give_up(self, queue: Any) -> None:
        held_back = self._lines.held_back("dropped", time.monotonic())
        if held_back is not None:
            LOG.warning(
                "dropped %d answer(s) to remote calls: the last one's reply queue %.80r does not "
                "exist; clients that still wait will time out and call again: check the agents' "
                "connections to the broker if this goes on",
                *(held_back + 1, queue),
            )


def _is_name(queue: Any) -> bool:
    try:
        return isinstance(queue, str) and 0 < len(queue.encode()) <= _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False


class Dispatcher(messaging.RPCDispatcher):
    """oslo.messaging's dispatcher, whose answers are sent by :class:`Replies`.

    ``expected``: errors of the endpoints that are answers; others are logged with a traceback.
    """

    def __init__(
        self, replies: Replies, expected: tuple[type[Exception], ...], *arguments: Any
    ) -> None:
        super().__init__(*arguments)
        self._replies = replies
        self._expected = expected

    def dispatch(self, incoming: Any) -> Any:
        send = getattr(incoming, "_send_reply", None)
        driver: Any = getattr(getattr(incoming, "listener", None), "driver", None)
        # Other drivers than RabbitMQ's, and later releases, send answers their own way.
        if send is not None and hasattr(driver, "_get_connection"):

            def reply(reply: Any = None, failure: Any = None) -> None:
                if not getattr(incoming, "orig_msg_id", None):
                    # A cast.
                    return

                def attempt() -> None:
                    with driver._get_connection(common.PURPOSE_SEND) as connection:
                        send(connection, reply, failure)

                self._replies.send(incoming.reply_q, attempt)

            incoming.reply = reply
        try:
            return super().dispatch(incoming)
        except self._expected as error:
            raise messaging.ExpectedException from error

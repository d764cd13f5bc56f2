# SPDX-License-Identifier: Apache-2.0
"""Sends notifications in a thread of its own: who has something to notify of never waits.

A broker that is away or hangs holds up this thread alone. Events wait for it, a bounded number for
a bounded time, in their order; then they are dropped, counted and logged. An event is sent once,
except where the connection is lost before the broker's confirmation.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from migprog import outages
from migprog.core.log_limit import LogLimit
from migprog.core.notices import Event
from migprog.deadline import DeadlineRunner
from migprog.metrics import notifications as metrics
from migprog.metrics.notifications import Outcome
from migprog.rpc import brokers

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SendingLimits:
    """``most``: events that may wait. ``keep_seconds``: how long each is tried to be sent.

    ``call_seconds``: how long one attempt may take; ``pause_seconds`` lie between two.
    ``stop_seconds``: how long a stop waits for what is not sent yet.
    """

    most: int = 5000
    keep_seconds: float = 300.0
    call_seconds: float = 10.0
    pause_seconds: float = 2.0
    stop_seconds: float = 2.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """An event, and until when it is tried to be sent (monotonic seconds)."""

    event: Event
    until: float
    is_sent: bool = False


class Sender:
    """Sends events by ``send``, which raises an error of :data:`brokers.ERRORS`, or hangs.

    ``where`` names the broker. ``close`` is called at the end; it may hang, too. ``explain``
    returns what an error means.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        where: str,
        close: Callable[[], None] = lambda: None,
        patience: SendingLimits = SendingLimits(),
        explain: Callable[[Exception], brokers.Cause] = brokers.cause,
    ) -> None:
        self._send = send
        self._explain = explain
        self._close = close
        self._patience = patience
        self._party = outages.party(
            LOG,
            where,
            f"each is tried for {patience.keep_seconds:.0f} s, and dropped then",
            "check the broker and transport_url",
        )
        # One call at a time: a call that hangs is still delivered when the broker is back.
        self._calls = DeadlineRunner(1, "the broker")
        self._lines = LogLimit()
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._stopping = False
        # From here on nothing is sent: ``close`` takes from ``send`` what it works with.
        self._closed = False
        # Started with the first event: a WSGI server may fork before.
        self._thread: threading.Thread | None = None

    def put(self, events: Iterable[Event]) -> None:
        """Queue events; of too many the oldest are dropped."""
        until = time.monotonic() + self._patience.keep_seconds
        overflowed: list[_Waiting] = []
        with self._changed:
            for event in events:
                if len(self._waiting) >= self._patience.most:
                    overflowed.append(self._waiting.popleft())
                self._waiting.append(_Waiting(event, until))
            if self._waiting and self._thread is None and not self._stopping:
                self._begin()
            self._changed.notify_all()
        for each in overflowed:
            self._drop(each, f"{self._patience.most} wait for the broker")

    def _begin(self) -> None:
        """Start the thread; if that fails, the events wait until more come."""
        thread = threading.Thread(target=self._run, name="notifications", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if self._held_back("thread") is not None:
                LOG.warning(
                    "%s: %s; notifications wait, and that is tried again with the next one; check "
                    "this system's limits of threads and memory",
                    *(self._party.name, error),
                )
        else:
            self._thread = thread

    def stop(self) -> None:
        """Send what waits, if that is possible soon, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(self._patience.stop_seconds)
            with self._changed:
                self._closed = True
                left = list(self._waiting)
                self._waiting.clear()
            for each in left:
                self._drop(each, "this process stops")
            closing = threading.Thread(target=self._close, name="close notifier", daemon=True)
            closing.start()
            closing.join(self._patience.stop_seconds)

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            try:
                self._deliver(waiting)
            except Exception:
                if self._closed:
                    self._drop(waiting, "this process stops")
                    continue
                metrics.count(waiting.event.kind, Outcome.DROPPED)
                if self._held_back("bug") is not None:
                    LOG.exception(
                        "failed to send notification %s of migration %s; it is dropped; report "
                        "this traceback as a bug",
                        *(waiting.event.kind, waiting.event.migration["uuid"]),
                    )

    def _next(self) -> _Waiting | None:
        """Return the oldest event; None to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            return self._waiting.popleft() if self._waiting else None

    def _deliver(self, waiting: _Waiting) -> None:
        """Try to send an event until it is too old."""
        while True:
            error = self._attempt(waiting)
            if waiting.is_sent:
                metrics.count(waiting.event.kind, Outcome.SENT)
                return
            if time.monotonic() >= waiting.until or self._pause():
                self._drop(waiting, error)
                return

    def _attempt(self, waiting: _Waiting) -> str:
        """Try once; return why it was not sent."""

        def send() -> None:
            # An earlier attempt may have hung, and be over now: then it is not sent again.
            if not waiting.is_sent and not self._closed:
                self._send(waiting.event)
                waiting.is_sent = True

        try:
            self._calls.run(send, self._patience.call_seconds)
        except TimeoutError as error:
            cause = brokers.Cause(str(error))
        except brokers.ERRORS as error:
            cause = self._explain(error)
        else:
            self._party.worked()
            return ""
        self._party.failed(cause.text, self._patience.pause_seconds, refused=cause.is_refusal)
        return cause.text

    def _pause(self) -> bool:
        """Wait before the next attempt; return whether to stop instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, self._patience.pause_seconds)
            return self._stopping

    def _drop(self, waiting: _Waiting, why: str) -> None:
        event = waiting.event
        metrics.count(event.kind, Outcome.DROPPED)
        held_back = self._held_back("dropped")
        if held_back is not None:
            more = f"; {held_back} more dropped since the last such line" if held_back else ""
            LOG.warning(
                "%s: notification %s of migration %s is dropped: %s%s; check the broker; the API "
                "has the migration",
                *(self._party.name, event.kind, event.migration["uuid"], why, more),
                extra={outages.IS_COMPLETE: True},
            )

    def _held_back(self, kind: str) -> int | None:
        """See :meth:`LogLimit.held_back`."""
        with self._changed:
            return self._lines.held_back(kind, time.monotonic())

# SPDX-License-Identifier: Apache-2.0
"""Run calls that may hang with a deadline.

Until it has reached the broker for the first time, oslo.messaging (18.3) retries without end,
whatever the timeout of a call; the timeout of requests does not limit a whole call either.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from migprog.concurrency import native_queue, native_thread

_T = TypeVar("_T")


class DeadlineRunner:
    """Runs at most ``most`` calls to ``whom`` at a time, each in its own thread.

    ``native``: in native threads, for a caller in one (see :mod:`migprog.concurrency`).
    """

    def __init__(self, most: int, whom: str = "the broker", native: bool = False) -> None:
        self._whom = whom
        self._start = native_thread if native else _green_thread
        self._queue: Callable[[], Any] = native_queue if native else queue.Queue
        self._free: Any = self._queue()
        for _ in range(most):
            self._free.put(None)

    def run(
        self,
        call: Callable[[], _T],
        seconds: float,
        late: Callable[[_T], object] | None = None,
        is_extra: bool = False,
    ) -> _T:
        """Return what ``call`` returns, or raise what it raises.

        Raises :class:`TimeoutError` after ``seconds``, while the call continues, or at once if too
        many calls are running, unless it ``is_extra``, or if the system has no thread for it. What
        a call returns too late is passed to ``late``, in its thread.
        """
        if not (is_extra or _takes(self._free)):
            raise TimeoutError(f"too many calls wait for {self._whom}")
        results, turn = self._queue(), self._queue()
        # Either the thread takes it in time, or the deadline does.
        turn.put(None)

        def work() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as raised:
                error = raised
            if not is_extra:
                self._free.put(None)
            if _takes(turn):
                results.put((result, error))
            elif late is not None and error is None:
                late(result)

        self._begin(work, is_extra)
        try:
            result, error = results.get(timeout=seconds)
        except queue.Empty:
            if _takes(turn):
                raise TimeoutError(f"no answer from {self._whom} within {seconds:g} s") from None
            result, error = results.get()
        if error is not None:
            raise error
        return result

    def _begin(self, work: Callable[[], None], is_extra: bool) -> None:
        try:
            self._start(work, f"call to {self._whom}")
        except RuntimeError as error:
            if not is_extra:
                self._free.put(None)
            raise TimeoutError(f"no call to {self._whom} can begin: {error}") from error


def _green_thread(target: Callable[[], None], name: str) -> None:
    threading.Thread(target=target, name=name, daemon=True).start()


def _takes(tokens: Any) -> bool:
    """Take a token from a queue, if there is one."""
    try:
        tokens.get_nowait()
    except queue.Empty:
        return False
    return True

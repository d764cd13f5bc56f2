# SPDX-License-Identifier: Apache-2.0
"""Run calls that may hang with a deadline.

Until it has reached the broker for the first time, oslo.messaging (18.3) retries without end,
whatever the timeout of a call; the timeout of requests does not limit a whole call either.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Bounded:
    """Runs at most ``most`` calls to ``whom`` at a time, each in its own thread."""

    def __init__(self, most: int, whom: str = "the broker") -> None:
        self._free = threading.BoundedSemaphore(most)
        self._whom = whom

    def run(self, call: Callable[[], _T], seconds: float) -> _T:
        """Return what ``call`` returns, or raise what it raises.

        Raises :class:`TimeoutError` after ``seconds``, while the call continues, or at once if too
        many calls are running.
        """
        if not self._free.acquire(blocking=False):
            raise TimeoutError(f"too many calls wait for {self._whom}")
        results: list[_T] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:
                errors.append(error)
            finally:
                self._free.release()
                done.set()

        threading.Thread(target=work, name="remote call", daemon=True).start()
        if not done.wait(seconds):
            raise TimeoutError(f"no answer from {self._whom} within {seconds:g} s")
        if errors:
            raise errors[0]
        return results[0]

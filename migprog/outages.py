# SPDX-License-Identifier: Apache-2.0
"""Log failures of remote parties: one line when they begin, change or end."""

import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Iterator

from migprog.core import outage
from migprog.core.duration import describe

# Attribute of log records that need no exception summary appended.
IS_COMPLETE = "is_complete"
# What an operator does about each kind of party.
CHECK_BROKER = "check the broker and [DEFAULT] transport_url"
CHECK_DATABASE = "check the database and [database] connection"
CHECK_KEYSTONE = "check Keystone and [keystone_authtoken]"


class Party:
    """A remote party of this process, such as a broker. Thread-safe.

    ``name``: what and where it is, never with a password. ``follows``: what its failure means to
    the operator. ``what_to_do``: what the operator does about it. A line has those of all users.
    """

    def __init__(self, log: logging.Logger, name: str, follows: str, what_to_do: str) -> None:
        self.name = name
        self._log = log
        self._follows = [follows]
        self._what_to_do = [what_to_do]
        self._outage = outage.Outage()
        self._lock = threading.Lock()
        # Since when the process waits for the party and can do nothing else.
        self._awaited_since: float | None = None

    def also(self, follows: str, what_to_do: str) -> None:
        """Log this, too, when the party fails."""
        with self._lock:
            for texts, text in ((self._follows, follows), (self._what_to_do, what_to_do)):
                if text not in texts:
                    texts.append(text)

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Mark the process as waiting for the party while the block runs, failed or not."""
        self._awaited_since = time.monotonic()
        try:
            yield
        finally:
            self._awaited_since = None

    def failed(
        self, cause: str, next_try_seconds: float | None = None, *, refused: bool = False
    ) -> None:
        """Log a failure unless it is logged already. ``refused``: the party answered no."""
        with self._lock:
            due = self._outage.failed(cause, time.monotonic())
            if due is None:
                return
            advice = "; ".join([*self._follows, *self._what_to_do])
        count = "" if due.failures == 1 else _count(due.failures, due.seconds)
        again = "" if next_try_seconds is None else f"; next try in {describe(next_try_seconds)}"
        self._log.log(
            logging.ERROR if refused else logging.WARNING,
            "%s: %s%s; %s%s",
            *(self.name, cause, count, advice, again),
            extra={IS_COMPLETE: True},
        )

    def worked(self) -> None:
        """Log the end of the outage if its beginning was logged."""
        if not self._outage.is_open:
            return
        with self._lock:
            ended = self._outage.worked(time.monotonic())
        if ended is not None:
            self._log.info("%s: works again%s", self.name, _count(ended.failures, ended.seconds))

    @property
    def is_failing(self) -> bool:
        return self._outage.is_open

    @property
    def holds_up(self) -> bool:
        """Whether the process may be waiting for the party now."""
        return self.is_failing or self._awaited_since is not None

    def __str__(self) -> str:
        now, since = time.monotonic(), self._awaited_since
        if self.is_failing or since is None:
            return f"{self.name}, failing for {describe(self._outage.seconds(now))}"
        return f"{self.name}, no answer for {describe(now - since)}"


# Held while a party is looked up or made, so that two threads do not make two of one name.
_LOCK = threading.Lock()
_PARTIES: "weakref.WeakValueDictionary[str, Party]" = weakref.WeakValueDictionary()


def party(log: logging.Logger, name: str, follows: str, what_to_do: str) -> Party:
    """Return the party of that name, one object for all users, so that its outage is logged
    once, with what follows for each of them."""
    with _LOCK:
        found = _PARTIES.get(name)
        if found is None:
            found = _PARTIES[name] = Party(log, name, follows, what_to_do)
    found.also(follows, what_to_do)
    return found


def worked(name: str) -> None:
    """Report that the party of that name works, if it exists."""
    found = _PARTIES.get(name)
    if found is not None:
        found.worked()


def holding_up() -> list[Party]:
    """Return the parties for which this process may be waiting now, by name."""
    # One step of the interpreter: other threads add parties meanwhile, and drop them.
    known = (reference() for reference in _PARTIES.valuerefs())
    there = (each for each in known if each is not None and each.holds_up)
    return sorted(there, key=lambda each: each.name)


def _count(failures: int, seconds: float) -> str:
    return f" ({failures} failure{'s' if failures > 1 else ''} in {describe(seconds)})"

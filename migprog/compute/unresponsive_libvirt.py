# SPDX-License-Identifier: Apache-2.0
"""Log when libvirt itself does not answer, with the consequences, and when it answers again."""

import logging
import math

from migprog.core.duration import describe
from migprog.core.reminders import Reminders
from migprog.metrics import agent as metrics

LOG = logging.getLogger(__name__)
# An unreachable libvirt is logged again after the first of these, then after twice as long each
# time, up to the second.
_REPEAT_SECONDS = (30.0, 600.0)


class Libvirt:
    """Whether the libvirt behind ``uri`` answers; at first it does not."""

    def __init__(self, uri: str, now: float) -> None:
        self._uri = uri
        self._attempts = 0
        # When an attempt to reach it last ended in any way.
        self._sign_at = now
        self._reminders = _reminders(now)
        self._set_up(False)

    @property
    def is_up(self) -> bool:
        """Whether it answered the last time."""
        return self._is_up

    def answers(self, now: float) -> None:
        """Record an answer."""
        if self._reminders.logged:
            seconds = now - self._reminders.since
            LOG.info("%s: libvirt answers after %s", self._uri, describe(seconds))
        self._attempts, self._sign_at, self._reminders = 0, now, _reminders(now)
        self._set_up(True)

    def fails(self, error: str, now: float, next_seconds: float) -> None:
        """Record a failed attempt to reach it; the next follows in ``next_seconds``."""
        self._sign_at = now
        self._attempts += 1
        self._set_up(False)
        if self._reminders.due(now) is not None:
            LOG.warning(
                "%s: cannot reach libvirt: %s (attempt %d); migrations of this host are not "
                "seen until it answers; next attempt in %g s",
                *(self._uri, error, self._attempts, next_seconds),
            )

    def look(self, now: float, timeout_seconds: float) -> None:
        """Log that it has neither answered nor failed for ``timeout_seconds``."""
        if now < self._sign_at + timeout_seconds:
            return
        seconds = self._reminders.due(now)
        if seconds is not None:
            self._set_up(False)
            LOG.warning(
                "%s: libvirt has not answered for %s; migrations of this host are not seen "
                "until it does; check libvirt's daemon",
                *(self._uri, describe(seconds)),
            )

    def _set_up(self, is_up: bool) -> None:
        self._is_up = is_up
        metrics.libvirt_up(self._uri, is_up)

    def next_look_at(self, timeout_seconds: float) -> float:
        return max(self._sign_at + timeout_seconds, self._reminders.log_at)


def _reminders(now: float) -> Reminders:
    """Return those of a libvirt that answered ``now``: the first failure is logged at once."""
    first, longest = _REPEAT_SECONDS
    return Reminders(now, -math.inf, pause_seconds=first, longest_pause_seconds=longest)

# SPDX-License-Identifier: Apache-2.0
"""Reads which agents are silent, for the conductor's metrics.

A thread of its own reads the database: a scrape must be answered while the database hangs.
"""

import logging
import threading
from datetime import UTC, datetime

from migprog import objects
from migprog.metrics.agent_states import AGENTS, MOST_HOSTS, AgentState, States

LOG = logging.getLogger(__name__)
# Half of an agent's usual heartbeat.
_INTERVAL_SECONDS = 15.0
_STOP_SECONDS = 1.0


class AgentStates:
    """Shows the agents of a store from :meth:`start` to :meth:`stop`, read each interval."""

    def __init__(self, store: objects.Store, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent states", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a database that hangs does not delay that."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)
        AGENTS.states = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            states = self._read()
            if not self._stopping.is_set():
                AGENTS.states = states
            self._stopping.wait(self._interval_seconds)

    def _read(self) -> States | None:
        """Return the agents' states; None while the database is away, which the store logs."""
        try:
            found = objects.Heartbeats.read(self._store, datetime.now(UTC), MOST_HOSTS)
        except objects.Unavailable:
            return None
        except Exception:
            LOG.exception(
                "failed to read the agents for metrics; they are not shown, and read again in "
                "%.0f s; report this traceback as a bug",
                self._interval_seconds,
            )
            return None
        hosts = [
            AgentState(each.host, each.is_silent, each.last_reported_at.timestamp())
            for each in found.each
        ]
        return States(found.count, found.silent, hosts)

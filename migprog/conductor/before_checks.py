# SPDX-License-Identifier: Apache-2.0
"""Compare each migration of a measured server, once it has ended, with what could have been
forecast before its start: by the newest measurement and the completed migrations of then.

One thread does that; those that store reports only add a migration to the queue. It is done once,
as well as it can be: while the database is away, or too many wait, the comparison is left out.
"""

import logging
import queue
import threading
import time

from migprog import loops, objects
from migprog.core.forecast import before_check
from migprog.core.forecast.before import forecast_before
from migprog.core.forecast.before_check import MAX_AGE_SECONDS, BeforeCheck
from migprog.core.learned import learn
from migprog.core.measurement import newest
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.exception import NotFound
from migprog.metrics import conductor as metrics

LOG = logging.getLogger(__name__)
_MOST_WAITING = 1000
# The database may hang for longer than its deadline.
STOP_SECONDS = 5.0


class BeforeChecks:
    """``ended`` never blocks, and may be called in any thread."""

    def __init__(self, store: objects.Store) -> None:
        self._store = store
        self._ended: queue.Queue[Report | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="checks before", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, within STOP_SECONDS; what waits is left out."""
        while not self._ended.empty():
            try:
                self._ended.get_nowait()
            except queue.Empty:
                break
        self._ended.put(None)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            LOG.warning(
                "the checks of forecasts before the start have not ended within %g s: the database "
                "does not answer; the process ends without them; check the database",
                STOP_SECONDS,
            )

    def ended(self, end: Report) -> None:
        """Queue a migration that has ended, and is stored."""
        try:
            self._ended.put_nowait(end)
        except queue.Full:
            LOG.debug("server %s: too many ended migrations wait to be compared", end.server_uuid)

    def _run(self) -> None:
        with loops.turning("the checks of forecasts before the start") as loop:
            while True:
                loop.turned()
                try:
                    end = self._ended.get(timeout=loops.IDLE_SECONDS)
                except queue.Empty:
                    continue
                if end is None:
                    return
                self._try(end)

    def _try(self, end: Report) -> None:
        try:
            self.check(end)
        except (objects.Unavailable, NotFound) as error:
            LOG.debug("server %s: migration %s: not compared: %s", end.server_uuid, end.uuid, error)
        except Exception:
            LOG.exception(
                "server %s: failed to compare migration %s with its forecast; its forecast before "
                "the start is not counted; report this traceback as a bug",
                *(end.server_uuid, end.uuid),
            )

    def check(self, end: Report) -> None:
        """Compare a migration with its forecast, and store the result."""
        measured = objects.Measurement.of_server(self._store, end.server_uuid)
        if not measured:
            return
        migration = objects.Migration.get(self._store, end.server_uuid, end.uuid)
        if migration.in_progress or migration.forecast_before is not None:
            return
        started_at = migration.started_at.timestamp()
        of_then = [
            found
            for each in measured
            if each.host == migration.source_compute
            and (found := each.for_forecast()) is not None
            and 0 < started_at - found.measured_at <= MAX_AGE_SECONDS
        ]
        if not of_then or migration.source_compute is None:
            return
        measurement = newest(of_then)
        source, dest = migration.source_compute, migration.dest_compute
        learned = learn(objects.completed(self._store, source), source, dest, started_at)
        before = forecast_before(
            measurement, learned, block_migration=bool(migration.disk_total_bytes), now=started_at
        )
        outcome = before_check.outcome(
            before.converges,
            before.low_seconds,
            before.high_seconds,
            total_seconds=migration.total_seconds,
            is_completed=migration.status is Status.COMPLETED,
            is_helped=bool(migration.cpu_throttle_percent) or end.phase is Phase.POST_COPY,
        )
        check = BeforeCheck(
            measurement.measured_at,
            before.converges,
            before.total_seconds,
            before.low_seconds,
            before.high_seconds,
            outcome,
        )
        if objects.put_forecast_before(self._store, migration.uuid, check, time.time()):
            metrics.forecast_before(check, migration.total_seconds)

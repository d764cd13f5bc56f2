# SPDX-License-Identifier: Apache-2.0
"""What was known of migrations that have just begun: the answer to their first report says it.

It is computed in the thread of the call, after the report was stored; the transaction of others
never waits for it. It is done as well as it can be: where the database fails, or several calls
compute already, the answer is without it.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from migprog import objects
from migprog.core.forecast.before_check import MAX_AGE_SECONDS
from migprog.core.forecast.expectation import Expectation
from migprog.core.forecast.expectation_making import expectation, windows_of
from migprog.core.learned import Completed, learn
from migprog.core.measurement import Measurement, newest
from migprog.core.messages import MAX_EXPECTED, Ack, Batch, Report
from migprog.core.status import Phase, Status

LOG = logging.getLogger(__name__)
# An answer that was lost is asked for again with the same report, or the next one.
_FIRST_REPORTS = 2
_FIRST_PHASES = (Phase.SETUP, Phase.DISK_COPY, Phase.MEMORY_FIRST_ITERATION)
# Each takes a hundredth of a second of processor time, and some reads.
_MOST_AT_ONCE = 2
# For how long the completed migrations of a source are held, and of how many sources.
_HELD_SECONDS, _MOST_SOURCES = 30.0, 200


class Expectations:
    """Any number of threads may use it at once."""

    def __init__(self, store: objects.Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._completed: OrderedDict[str, tuple[float, list[Completed]]] = OrderedDict()

    def of(self, batch: Batch, ack: Ack) -> Mapping[str, Expectation]:
        """Return what is expected of the migrations that a batch reports for the first time."""
        first = [each for each in batch.reports if _is_first(each, ack)][:MAX_EXPECTED]
        if not first or not self._free.acquire(blocking=False):
            return {}
        try:
            return {
                each.uuid: self._expected(each, batch.host, ack.destinations.get(each.uuid))
                for each in first
            }
        except objects.Unavailable as error:
            LOG.debug("host %r: nothing is expected of its migrations: %s", batch.host, error)
        except Exception:
            LOG.exception(
                "host %r: failed to compute what is expected of its migrations, which are forecast "
                "without it; report this traceback as a bug",
                batch.host,
            )
        finally:
            self._free.release()
        return {}

    def _expected(self, report: Report, source: str, dest: str | None) -> Expectation:
        learned = learn(self._completed_from(source), source, dest, report.started_at)
        measured = self._measured(report, source)
        age_seconds = 0.0 if measured is None else report.started_at - measured.measured_at
        return expectation(measured, learned, max(0.0, age_seconds))

    def _completed_from(self, source: str) -> list[Completed]:
        now = time.monotonic()
        with self._lock:
            held = self._completed.get(source)
        if held is not None and now - held[0] < _HELD_SECONDS:
            return held[1]
        found = objects.completed(self._store, source)
        with self._lock:
            self._completed[source] = now, found
            self._completed.move_to_end(source)
            if len(self._completed) > _MOST_SOURCES:
                self._completed.popitem(last=False)
        return found

    def _measured(self, report: Report, source: str) -> Measurement | None:
        """Return what is known of how fast the server writes, by a measurement or by its last
        migration, whichever is newer; None if neither shows it."""
        measured = [
            found
            for each in objects.Measurement.of_server(self._store, report.server_uuid)
            if each.host == source
            and (found := each.for_forecast()) is not None
            and 0 < report.started_at - found.measured_at <= MAX_AGE_SECONDS
        ]
        by_measurement = newest(measured) if measured else None
        by_migration = self._of_last_migration(report)
        if by_measurement is None or by_migration is None:
            return by_measurement or by_migration
        return max(by_measurement, by_migration, key=lambda each: each.measured_at)

    def _of_last_migration(self, report: Report) -> Measurement | None:
        found = objects.Migration.list(
            self._store, server_uuid=report.server_uuid, status=Status.COMPLETED, limit=1
        )
        last = next(iter(found), None)
        if last is None or last.ended_at is None or not last.memory_total_bytes:
            return None
        windows = windows_of(
            (point.iteration_start_remaining_bytes, point.dirty_bytes_per_second)
            for point in objects.Point.list(self._store, last)
            if not point.cpu_throttle_percent
        )
        if not windows:
            return None
        return Measurement(
            measured_at=last.ended_at.timestamp(),
            windows=windows,
            memory_bytes=last.memory_total_bytes,
            resident_bytes=None,
            disk_bytes=None,
            downtime_limit_seconds=report.downtime_limit_seconds,
            has_host_devices=False,
        )


def _is_first(report: Report, ack: Ack) -> bool:
    return (
        report.sequence <= _FIRST_REPORTS
        and report.phase in _FIRST_PHASES
        and report.ended_at is None
        and f"reports[{report.uuid}]" not in ack.refused
    )

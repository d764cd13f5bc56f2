# SPDX-License-Identifier: Apache-2.0
"""Learning how Nova calls a migration that appeared, in nobody's way.

One thread asks, one migration after the other. Whoever stores reports only leaves word here, and
waits for nothing: what is too much is dropped, and counted.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from migprog import exception, objects, outages
from migprog.conductor.nova import NoAnswer
from migprog.core import nova
from migprog.core.nova import NovaMigration
from migprog.metrics import conductor as metrics
from migprog.metrics.conductor import Naming as Outcome

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """``most``: those that may be waited with. A migration is asked for at once, and again after
    each of these delays, as long as Nova does not answer, or does not know it yet."""

    most: int = 1000
    delays_seconds: tuple[float, ...] = (2.0, 15.0, 60.0, 300.0, 900.0)


@dataclass(frozen=True, slots=True)
class _Appeared:
    server_uuid: str
    uuid: str
    asked: int = 0


class Naming:
    """Names the migrations of ``store``. ``ask`` gives Nova's records of a server's migrations, and
    may raise :class:`NoAnswer`."""

    def __init__(
        self,
        store: objects.Store,
        ask: Callable[[str], list[NovaMigration]],
        patience: Patience = Patience(),
    ) -> None:
        self._store = store
        self._ask = ask
        self._patience = patience
        self._changed = threading.Condition()
        # By the instant when to ask; the count is for those of one instant.
        self._waiting: list[tuple[float, int, _Appeared]] = []
        self._count = itertools.count()
        self._stopping = False
        self._nova = outages.party(
            LOG, "Nova", "its ids of new migrations are asked for again later"
        )
        self._thread = threading.Thread(target=self._run, name="naming", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. A question that is under way is not waited for."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def appeared(self, server_uuid: str, uuid: str) -> None:
        """Have a migration named, some time. Never waits."""
        self._put(_Appeared(server_uuid, uuid), 0.0)

    def _put(self, appeared: _Appeared, delay_seconds: float) -> None:
        with self._changed:
            if len(self._waiting) >= self._patience.most:
                metrics.naming(Outcome.DROPPED)
                return
            due = time.monotonic() + delay_seconds
            heapq.heappush(self._waiting, (due, next(self._count), appeared))
            self._changed.notify()

    def _run(self) -> None:
        self._find_unnamed()
        while (appeared := self._next()) is not None:
            try:
                outcome = self._name(appeared)
            except NoAnswer as error:
                self._nova.failed(str(error))
                outcome = Outcome.FAILED
            except objects.Unavailable as error:
                LOG.debug("Nova's id of migration %s is not known: %s", appeared.uuid, error)
                outcome = Outcome.FAILED
            except Exception:
                LOG.exception("Nova's id of migration %s is not known", appeared.uuid)
                outcome = Outcome.FAILED
            self._settle(appeared, outcome)

    def _find_unnamed(self) -> None:
        """Those under way that a conductor before us did not get to."""
        try:
            found = objects.Migration.list(self._store, in_progress=True, limit=self._patience.most)
        except objects.Unavailable as error:
            LOG.warning("migrations without a name of Nova's are not looked for: %s", error)
            return
        for migration in found:
            if migration.nova_id is None:
                self.appeared(migration.server_uuid, migration.uuid)

    def _next(self) -> _Appeared | None:
        """The next to ask for, when it is time; None: no more."""
        with self._changed:
            while not self._stopping:
                if not self._waiting:
                    self._changed.wait()
                elif (left := self._waiting[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._waiting)[2]
            return None

    def _name(self, appeared: _Appeared) -> Outcome:
        try:
            migration = objects.Migration.get(self._store, appeared.server_uuid, appeared.uuid)
        except exception.NotFound:
            return Outcome.PURGED
        if migration.nova_id is not None:
            return Outcome.NAMED
        seen = nova.Seen(
            source_compute=migration.source_compute,
            source_node=migration.source_node,
            dest_compute=migration.dest_compute,
            started_at=migration.started_at,
        )
        records = self._ask(appeared.server_uuid)
        self._nova.worked()
        found = nova.matching(seen, records)
        if len(found) > 1:
            return Outcome.AMBIGUOUS
        if not found or not objects.name(self._store, migration, found[0], time.time()):
            return Outcome.ABSENT
        return Outcome.NAMED

    def _settle(self, appeared: _Appeared, outcome: Outcome) -> None:
        delays = self._patience.delays_seconds
        if outcome in (Outcome.FAILED, Outcome.ABSENT) and appeared.asked < len(delays):
            again = _Appeared(appeared.server_uuid, appeared.uuid, appeared.asked + 1)
            self._put(again, delays[appeared.asked])
            return
        if outcome in (Outcome.ABSENT, Outcome.AMBIGUOUS):
            LOG.info("migration %s: of Nova's records %s", appeared.uuid, outcome.value)
        metrics.naming(outcome)

# SPDX-License-Identifier: Apache-2.0
"""The Nova id lookup: finds Nova's ids of new migrations without delaying the storing of reports.

One thread asks Nova, for all migrations that are due at once. The threads that store reports only
add a migration to the queue. The lookup of a migration is repeated while it is in progress, and for
some time after its end.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from migprog import objects, outages
from migprog.conductor import nova_failures
from migprog.conductor.nova_client import NoAnswer
from migprog.core import nova_match
from migprog.core.nova_match import NovaMigration
from migprog.metrics import conductor as metrics
from migprog.metrics.conductor import NovaIdLookup as Outcome

LOG = logging.getLogger(__name__)

# Of a server's migrations, the newest to compare with Nova's.
_MOST_RECORDS = 20
# Nova last changed its record at most this long before libvirt began; generous.
_BEFORE = timedelta(seconds=60)
# How far back failed migrations are searched for.
_LATELY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Patience:
    """When to ask Nova.

    ``most``: migrations in the queue. A migration is looked up at once, and again after each delay
    of ``under_way_seconds``, the last of which repeats while the migration is in progress or Nova
    does not answer; after its end, once after each delay of ``ended_seconds``. ``pause_seconds``
    lie between two rounds. Of more than ``few`` servers one request asks for all.
    ``search_interval_seconds``: how often the store is searched for migrations that other
    conductors have stored. At the start it is searched for those, too, that ended within
    ``search_at_start_seconds``, while Nova was away. ``failures_interval_seconds``: how often Nova
    is asked for migrations that failed before libvirt began.
    """

    most: int = 1000
    under_way_seconds: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
    ended_seconds: tuple[float, ...] = (2.0, 15.0, 60.0, 300.0, 900.0)
    pause_seconds: float = 0.2
    few: int = 5
    search_interval_seconds: float = 60.0
    search_at_start_seconds: float = 24 * 3600.0
    failures_interval_seconds: float = 15.0


class NovaApi(Protocol):
    """Nova, see :class:`migprog.conductor.nova_client.Nova`. Each may raise :class:`NoAnswer`."""

    def migrations(self, server_uuid: str) -> list[NovaMigration]: ...

    def changed_since(self, at: datetime) -> tuple[list[NovaMigration], bool]: ...

    def listed(self) -> tuple[list[NovaMigration], bool]: ...


@dataclass(slots=True)
class _Waiting:
    """A migration without Nova's id, or whose id Nova's list of the server may still change.

    ``asked``: lookups while it was in progress; ``asked_since``: lookups since it ended.
    """

    server_uuid: str
    uuid: str
    due: float
    asked: int = 0
    asked_since: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    """Nova's records of a server; without ``all_listed`` Nova may list more as in progress."""

    records: Sequence[NovaMigration]
    all_listed: bool

    def is_alone(self, record: NovaMigration) -> bool:
        """Return whether Nova lists no other migration of the server as being in progress."""
        return self.all_listed and not any(
            each.status in nova_match.LISTED and each.uuid != record.uuid for each in self.records
        )


class NovaIdLookup:
    """Stores Nova's ids of migrations in ``store``, from the answers of ``asked``."""

    def __init__(
        self, store: objects.Store, asked: NovaApi, patience: Patience = Patience()
    ) -> None:
        self._store = store
        self._asked = asked
        self._patience = patience
        self._changed = threading.Condition()
        # By our UUIDs.
        self._waiting: dict[str, _Waiting] = {}
        self._search_at = 0.0
        self._search_ended_seconds = patience.search_at_start_seconds
        self._failures_at = time.monotonic() + patience.failures_interval_seconds
        self._stopping = False
        self._nova = outages.party(
            LOG, "Nova", "its ids of new migrations stay unknown until the next attempt"
        )
        self._thread = threading.Thread(target=self._run, name="nova id lookup", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, without waiting for a request that is in progress."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def appeared(self, server_uuid: str, uuid: str) -> None:
        """Queue a migration. Never blocks."""
        with self._changed:
            if uuid in self._waiting:
                return
            if len(self._waiting) >= self._patience.most:
                metrics.nova_id_lookup(Outcome.DROPPED)
                return
            self._waiting[uuid] = _Waiting(server_uuid, uuid, time.monotonic())
            self._changed.notify()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._search()
                self._round(self._due())
                self._record_failures()
            except objects.Unavailable as error:
                LOG.debug("no Nova id lookup now: %s", error)
            except Exception:
                LOG.exception("Nova id lookup failed; trying again: report the traceback as a bug")
            self._wait()

    def _search(self) -> None:
        """Queue migrations that no conductor looks up: because theirs was stopped, or the queue was
        full. Those whose lookups have all been made ended before the time that is searched."""
        now = time.monotonic()
        if now < self._search_at:
            return
        self._search_at = now + self._patience.search_interval_seconds
        ended_since = time.time() - self._search_ended_seconds
        for server_uuid, uuid in objects.unnamed(self._store, ended_since, self._patience.most):
            self.appeared(server_uuid, uuid)
        self._search_ended_seconds = sum(self._patience.ended_seconds)

    def _record_failures(self) -> None:
        """Record migrations that failed lately before libvirt began, which no agent reported."""
        now = time.monotonic()
        if now < self._failures_at:
            return
        self._failures_at = now + self._patience.failures_interval_seconds
        try:
            records, _ = self._asked.changed_since(datetime.now(UTC) - _LATELY)
        except NoAnswer as error:
            self._nova.failed(str(error))
            return
        self._nova.worked()
        nova_failures.record(self._store, records)

    def _due(self) -> list[_Waiting]:
        now = time.monotonic()
        with self._changed:
            due = [each for each in self._waiting.values() if each.due <= now]
        for each in due:
            # Kept unless this round gets an answer.
            each.asked += 1
            each.due = now + self._delay_seconds(each)
        return due

    def _wait(self) -> None:
        """Wait until a lookup is due, at least for the pause."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, self._patience.pause_seconds)
            while not self._stopping:
                due = [each.due for each in self._waiting.values()]
                left = min([self._search_at, self._failures_at, *due]) - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _round(self, due: Collection[_Waiting]) -> None:
        """Look up those that are due, and store the ids that Nova's answers determine."""
        ours = {server: self._migrations(server) for server in {each.server_uuid for each in due}}
        left = [each for each in due if not self._end_lookup(each, ours[each.server_uuid])]
        if not left:
            return
        asked_for = {each.server_uuid: ours[each.server_uuid] for each in left}
        answers = self._answers(asked_for)
        if answers is None:
            # Nova did not answer: all are looked up again after their delays.
            return
        for server, migrations in asked_for.items():
            mine = [each for each in left if each.server_uuid == server]
            try:
                if server in answers:
                    self._name(mine, migrations, answers[server])
                    continue
            except objects.Unavailable as error:
                LOG.debug(
                    "failed to store Nova's ids of migrations of server %s: %s", server, error
                )
            except Exception:
                LOG.exception(
                    "failed to match Nova's migrations of server %s; trying again later: report "
                    "the traceback as a bug",
                    server,
                )
            for each in mine:
                self._again(each, migrations[each.uuid], Outcome.FAILED)

    def _answers(
        self, servers: Mapping[str, Mapping[str, objects.Migration]]
    ) -> Mapping[str, _Known] | None:
        """Return Nova's records of these servers; empty after an unexpected error.

        Return None where Nova does not answer, or refuses.
        """
        try:
            answers = self._ask(servers)
        except NoAnswer as error:
            self._nova.failed(str(error))
            return None
        except Exception:
            LOG.exception(
                "failed to ask Nova for the ids of migrations; trying again later: report the "
                "traceback as a bug"
            )
        else:
            self._nova.worked()
            return answers
        return {}

    def _migrations(self, server_uuid: str) -> dict[str, objects.Migration]:
        """Return a server's newest migrations by our UUIDs."""
        found = objects.Migration.list(self._store, server_uuid=server_uuid, limit=_MOST_RECORDS)
        return {each.uuid: each for each in found}

    def _end_lookup(self, waiting: _Waiting, ours: Mapping[str, objects.Migration]) -> bool:
        """Take a migration off the queue if nothing is left to ask; return whether it was."""
        migration = ours.get(waiting.uuid)
        if migration is not None and not _is_complete(migration):
            return False
        self._done(waiting, Outcome.PURGED if migration is None else Outcome.NAMED)
        return True

    def _ask(self, servers: Mapping[str, Mapping[str, objects.Migration]]) -> dict[str, _Known]:
        """Return Nova's records of each of these servers. Raises :class:`NoAnswer`."""
        if len(servers) <= self._patience.few:
            return {each: _Known(self._asked.migrations(each), True) for each in servers}
        begun = min(
            migration.started_at
            for migrations in servers.values()
            for migration in migrations.values()
            if not _is_complete(migration)
        )
        changed, _ = self._asked.changed_since(begun - _BEFORE)
        listed, is_all = self._asked.listed()
        records = {each.uuid: each for each in (*changed, *listed)}.values()
        return {
            server: _Known([each for each in records if each.server_uuid == server], is_all)
            for server in servers
        }

    def _name(
        self, due: Sequence[_Waiting], ours: Mapping[str, objects.Migration], answers: _Known
    ) -> None:
        """Store Nova's ids of a server's migrations; requeue or end the lookups that are due."""
        pairs = nova_match.pair(map(objects.seen, ours.values()), answers.records)
        known = {each.uuid: each for each in answers.records}
        named = {
            each.uuid: known[each.nova_uuid] for each in ours.values() if each.nova_uuid in known
        }
        for uuid, record in pairs.named.items():
            if objects.name(self._store, ours[uuid], record, time.time(), answers.is_alone(record)):
                named[uuid] = record
        for each in due:
            its, migration = named.get(each.uuid), ours[each.uuid]
            if its is None:
                is_one_of = each.uuid in pairs.ambiguous
                outcome = Outcome.AMBIGUOUS if is_one_of else Outcome.ABSENT
                self._again(each, migration, outcome)
            elif answers.is_alone(its) or not migration.in_progress:
                if migration.nova_uuid is not None:
                    objects.name(self._store, migration, its, time.time())
                self._done(each, Outcome.NAMED)
            else:
                self._again(each, migration, Outcome.NAMED)

    def _again(self, waiting: _Waiting, migration: objects.Migration, outcome: Outcome) -> None:
        """Set the time of the next lookup, or end the lookup after the last one."""
        patience, now = self._patience, time.monotonic()
        if migration.in_progress:
            waiting.due = now + self._delay_seconds(waiting)
        elif waiting.asked_since < len(patience.ended_seconds):
            waiting.due = now + patience.ended_seconds[waiting.asked_since]
            waiting.asked_since += 1
        else:
            LOG.info(
                "Nova's id of migration %s of server %s is unknown: %s; it is not looked up again",
                *(waiting.uuid, waiting.server_uuid, outcome.value),
            )
            self._done(waiting, outcome)

    def _delay_seconds(self, waiting: _Waiting) -> float:
        """Return the delay before the next lookup of a migration in progress."""
        delays = self._patience.under_way_seconds
        return delays[min(waiting.asked, len(delays)) - 1]

    def _done(self, waiting: _Waiting, outcome: Outcome) -> None:
        with self._changed:
            self._waiting.pop(waiting.uuid, None)
        metrics.nova_id_lookup(outcome)


def _is_complete(migration: objects.Migration) -> bool:
    """Return whether Nova's record of a migration is known and final."""
    record = migration.nova_record
    return record is not None and (record.is_alone or not migration.in_progress)

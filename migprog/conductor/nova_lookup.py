# SPDX-License-Identifier: Apache-2.0
"""The Nova id lookup: finds Nova's ids of new migrations without delaying the storing of reports.

One thread asks Nova, for all migrations that are due at once. The threads that store reports only
add a migration to the queue (:mod:`migprog.conductor.nova_lookup_queue`).
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
from migprog.conductor.nova_lookup_queue import LookupQueue, LookupTimes, Waiting
from migprog.core import nova_match
from migprog.core.nova_match import NovaMigration
from migprog.metrics.conductor import NovaIdLookup as Outcome
from migprog.notifications import Notify

LOG = logging.getLogger(__name__)

# Of a server's migrations, the newest to compare with Nova's.
_MOST_RECORDS = 20
# Nova last changed its record at most this long before libvirt began; generous.
_BEFORE = timedelta(seconds=60)
# How far back failed migrations are searched for.
_LATELY = timedelta(minutes=10)
_TIMES = LookupTimes()


class NovaApi(Protocol):
    """Nova, see :class:`migprog.conductor.nova_client.Nova`. Each may raise :class:`NoAnswer`."""

    def migrations(self, server_uuid: str) -> list[NovaMigration]: ...

    def changed_since(self, at: datetime) -> tuple[list[NovaMigration], bool]: ...

    def listed(self) -> tuple[list[NovaMigration], bool]: ...


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
    """Stores Nova's ids of migrations in ``store``, from the answers of ``asked``.

    ``notify`` is given what others are to be notified of; it must not block.
    """

    def __init__(
        self,
        store: objects.Store,
        asked: NovaApi,
        patience: LookupTimes = _TIMES,
        notify: Notify | None = None,
    ) -> None:
        self._store = store
        self._asked = asked
        self._patience = patience
        self._notify = notify
        self._queue = LookupQueue(patience)
        self._search_at = 0.0
        self._search_ended_seconds = patience.search_at_start_seconds
        self._failures_at = time.monotonic() + patience.failures_interval_seconds
        self._nova = outages.party(
            LOG,
            "Nova",
            "its ids of new migrations stay unknown until the next attempt",
            "check Nova's API and [nova]",
        )
        self._thread = threading.Thread(target=self._run, name="nova id lookup", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, without waiting for a request that is in progress."""
        self._queue.stop()

    def appeared(self, server_uuid: str, uuid: str) -> None:
        """Queue a migration. Never blocks."""
        self._queue.add(server_uuid, uuid)

    def _run(self) -> None:
        while not self._queue.is_stopping:
            try:
                self._search()
                self._round(self._queue.due())
                self._record_failures()
            except objects.Unavailable as error:
                LOG.debug("no Nova id lookup now: %s", error)
            except Exception:
                LOG.exception("Nova id lookup failed; trying again; report this traceback as a bug")
            self._queue.wait(min(self._search_at, self._failures_at))

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
        nova_failures.record(self._store, records, self._notify)

    def _round(self, due: Collection[Waiting]) -> None:
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
                    "failed to match Nova's migrations of server %s; trying again later; report "
                    "this traceback as a bug",
                    server,
                )
            for each in mine:
                self._queue.again(each, migrations[each.uuid].in_progress, Outcome.FAILED)

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
                "failed to ask Nova for the ids of migrations; trying again later; report this "
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

    def _end_lookup(self, waiting: Waiting, ours: Mapping[str, objects.Migration]) -> bool:
        """Take a migration off the queue if nothing is left to ask; return whether it was."""
        migration = ours.get(waiting.uuid)
        if migration is not None and not _is_complete(migration):
            return False
        self._queue.done(waiting, Outcome.PURGED if migration is None else Outcome.NAMED)
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
        self, due: Sequence[Waiting], ours: Mapping[str, objects.Migration], answers: _Known
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
                self._queue.again(each, migration.in_progress, outcome)
            elif answers.is_alone(its) or not migration.in_progress:
                if migration.nova_uuid is not None:
                    objects.name(self._store, migration, its, time.time())
                self._queue.done(each, Outcome.NAMED)
            else:
                self._queue.again(each, migration.in_progress, Outcome.NAMED)


def _is_complete(migration: objects.Migration) -> bool:
    """Return whether Nova's record of a migration is known and final."""
    record = migration.nova_record
    return record is not None and (record.is_alone or not migration.in_progress)

# SPDX-License-Identifier: Apache-2.0
"""What a transaction changes: records of migrations and servers, points of histories, agents.

Each row is written once, whatever the number of reports. While a migration is in progress, only the
columns that change with progress are written: that is most of the cost of a report.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from migprog.core import downsampling, merge
from migprog.core.forecast.verdict import BAD, Verdict
from migprog.core.messages import Report
from migprog.core.record import Record
from migprog.core.server_record import ServerRecord
from migprog.core.status import ENDED
from migprog.db.writer import Writer
from migprog.objects import history, rows
from migprog.objects.rows import Row


@dataclass(slots=True)
class Changes:
    """UUIDs of migrations and servers to write, by what changed of them.

    ``reported``: figures changed; those in ``more_than_progress`` are written whole. ``arrived``:
    the destination changed. ``merged_late``: the UUID and the source of an arrival-only record
    changed. ``restarted``: the start changed.
    """

    reported: set[str] = field(default_factory=set)
    more_than_progress: set[str] = field(default_factory=set)
    arrived: set[str] = field(default_factory=set)
    merged_late: set[str] = field(default_factory=set)
    restarted: set[str] = field(default_factory=set)
    servers: set[str] = field(default_factory=set)
    servers_more_than_progress: set[str] = field(default_factory=set)
    # By host.
    agents: dict[str, Row] = field(default_factory=dict)
    # Points of histories by migration and number; of those to thin out, the age in seconds.
    points: dict[tuple[int, int], Row] = field(default_factory=dict)
    outgrown: dict[int, float] = field(default_factory=dict)

    def rename(self, old: str, new: str) -> None:
        """Take the changes of one migration's UUID for another's."""
        for uuids in (self.reported, self.more_than_progress, self.arrived):
            if old in uuids:
                uuids.remove(old)
                uuids.add(new)

    def add_point(
        self, old: Record, new: Record, report: Report, verdict_before: Verdict | None
    ) -> None:
        """Add a point to the history of a stored migration, if one is due."""
        if old.id is None:
            return
        before, now = merge.ages(old, new)
        verdict = report.verdict
        has_turned = verdict is not verdict_before and report.status not in ENDED
        number = downsampling.kept_number(before, now, has_turned, verdict in BAD)
        if number is not None:
            self.points[old.id, number] = {
                "migration_id": old.id,
                "number": number,
                "point": history.written(report),
            }
        if downsampling.has_outgrown(before, now):
            self.outgrown[old.id] = now

    def write(
        self,
        writer: Writer,
        migrations: Mapping[str, Record],
        servers: Mapping[str, ServerRecord],
    ) -> None:
        """Write the changed records, each by its UUID."""
        changed = {u: rows.from_record(migrations[u]) for u in sorted(self.reported | self.arrived)}
        stored = {uuid for uuid in changed if migrations[uuid].id is not None}

        def some(uuids: Iterable[str]) -> list[Row]:
            return [changed[uuid] for uuid in sorted(uuids)]

        writer.insert_migrations(some(self.reported - stored))
        changed_servers = {u: rows.from_server(servers[u]) for u in sorted(self.servers)}
        new_servers = {u for u in self.servers if not servers[u].is_stored}
        writer.insert_servers([changed_servers[u] for u in sorted(new_servers)])
        writer.update_sources(some(self.merged_late & stored))
        writer.update_starts(some(self.restarted & stored))
        reported = self.reported & stored
        writer.update_migrations(some(reported - self.more_than_progress), for_progress=True)
        writer.update_migrations(some(reported & self.more_than_progress), for_progress=False)
        writer.update_destinations(some(self.arrived & stored))
        for uuids, is_progress in (
            (self.servers - new_servers - self.servers_more_than_progress, True),
            ((self.servers - new_servers) & self.servers_more_than_progress, False),
        ):
            writer.update_servers(
                [changed_servers[u] for u in sorted(uuids)], for_progress=is_progress
            )
        self._write_history(writer)
        writer.put_agents([self.agents[host] for host in sorted(self.agents)])

    def _write_history(self, writer: Writer) -> None:
        writer.put_history([self.points[key] for key in sorted(self.points)])
        numbers = writer.history_numbers(self.outgrown)
        writer.drop_history(
            [
                (each, number)
                for each, age in sorted(self.outgrown.items())
                for number in downsampling.dropped(numbers[each], age)
            ]
        )

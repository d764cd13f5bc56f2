# SPDX-License-Identifier: Apache-2.0
"""The servers of a host, as far as migrations and measurements show them."""

import functools
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from migprog.core import newer_words
from migprog.core.credible_measurements import Place, credible, host_of
from migprog.core.instant import from_store
from migprog.db import engine as db
from migprog.db import host_servers as statements
from migprog.db.measurements import MOST_OF_SERVER
from migprog.db.reader import Reader, Row
from migprog.objects.measurements import MeasuredServer, Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class HostServer(MeasuredServer):
    """A server, and where it is. ``measurements``: those to be believed, the newest first.

    ``arrived_at``: when the migration began that brought it to ``host``, or when that was first
    seen to have it; None if it may always have been there.
    ``seen_at``: when it was last reported. Instants are UTC with their zone.
    """

    uuid: str
    name: str | None
    host: str | None
    measurements: tuple[Measurement, ...]
    arrived_at: datetime | None
    seen_at: datetime


def host_servers(
    store: db.Store, host: str, limit: int, also: Collection[str] = ()
) -> list[HostServer]:
    """Return the servers that are on a host, or that it has measured, in the order of their UUIDs:
    at most ``limit`` by each of both. ``also``: further servers, wherever they are.

    Raises :class:`db.Unavailable`.
    """
    return store.read(functools.partial(_read, host=host, limit=limit, also=also))


def _read(reader: Reader, host: str, limit: int, also: Collection[str]) -> list[HostServer]:
    wanted = statements.by_migrations(reader, host, limit)
    wanted |= statements.by_measurements(reader, host, limit) | set(also)
    places = statements.places(reader, wanted)
    measured: dict[str, list[Measurement]] = defaultdict(list)
    for row in statements.measurements(reader, wanted, len(wanted) * MOST_OF_SERVER):
        measured[row["server_uuid"]].append(Measurement.from_row(row))
    return [_server(uuid, places.get(uuid), measured[uuid]) for uuid in sorted(wanted)]


def _server(uuid: str, row: Row | None, measured: list[Measurement]) -> HostServer:
    place = None if row is None else _place(row)
    found = credible(measured, place)
    host = host_of(found, place)
    names = [row["name"] if row else None, *(each.server_name for each in found)]
    seen = [from_store(row["sampled_at"])] if row else []
    seen += [each.measured_at for each in found if each.host == host]
    return HostServer(
        uuid=uuid,
        name=next((name for name in names if name is not None), None),
        host=host,
        measurements=tuple(found),
        arrived_at=_arrived_at(host, place, found),
        seen_at=max(seen, default=datetime.fromtimestamp(0, UTC)),
    )


def _arrived_at(host: str | None, place: Place | None, found: list[Measurement]) -> datetime | None:
    if place is None:
        return None
    if host == place.host:
        return place.started_at if place.has_arrived else None
    # It was moved by other means.
    return min((each.measured_at for each in found if each.host == host), default=None)


def _place(row: Row) -> Place:
    started_at = from_store(row["migration_started_at"])
    if row["status"] is None:
        # Of a migration that has been purged, only where it left the server is known.
        return Place(None, row["host"], started_at, has_arrived=True)
    status = newer_words.status(row["status"], has_ended=False)
    return Place.of(status, row["source_compute"] or None, row["dest_compute"], started_at)

# SPDX-License-Identifier: Apache-2.0
"""What was measured of servers: the newest few of each server and host.

A measurement belongs to the host that reported it: no other host replaces it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from migprog.core import measurement as measurement_
from migprog.core.instant import to_store, with_zones
from migprog.core.measurement import Failure, Measured, Window
from migprog.db import engine as db
from migprog.db import measurements as statements
from migprog.db.writer import Writer

# Of each server and host: measurements, and failures to measure.
KEPT, KEPT_FAILURES = 4, 1
_INSTANTS = ("measured_at", "last_reported_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measurement of a server by a host; see :class:`migprog.core.measurement.Measurement`.

    ``failure``: why there is none; then ``windows`` is empty. Instants are UTC with their zone;
    ``last_reported_at`` is by the conductor's clock.
    """

    uuid: str
    server_uuid: str
    host: str
    measured_at: datetime
    last_reported_at: datetime
    windows: tuple[Window, ...]
    failure: Failure | None
    memory_bytes: int | None
    resident_bytes: int | None
    disk_bytes: int | None
    downtime_limit_seconds: float | None
    has_host_devices: bool | None
    server_name: str | None
    project_id: str | None
    user_id: str | None

    @classmethod
    def of_server(cls, store: db.Store, server_uuid: str) -> list[Self]:
        """Return the measurements of a server by all hosts, the newest first.

        Raises :class:`db.Unavailable`.
        """
        rows = store.read(lambda reader: statements.of_server(reader, server_uuid))
        return [cls.from_row(row) for row in rows]

    def for_forecast(self) -> measurement_.Measurement | None:
        """Return what a forecast needs; None if nothing was measured."""
        if not self.windows or self.memory_bytes is None:
            return None
        return measurement_.Measurement(
            measured_at=self.measured_at.timestamp(),
            windows=self.windows,
            memory_bytes=self.memory_bytes,
            resident_bytes=self.resident_bytes,
            disk_bytes=self.disk_bytes,
            downtime_limit_seconds=self.downtime_limit_seconds,
            has_host_devices=bool(self.has_host_devices),
        )

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        values = {name: row[name] for name in cls.__slots__}
        windows = json.loads(row["windows"]) if row["windows"] else ()
        values["windows"] = tuple(Window(seconds, rate) for seconds, rate in windows)
        # A later version may have stored another word.
        word = row["failure"]
        values["failure"] = word and (Failure.of(word) or Failure.LIBVIRT_FAILED)
        return cls(**with_zones(values, _INSTANTS))


def put(writer: Writer, host: str, measured: Sequence[Measured], now: datetime) -> None:
    """Store what a host has measured, and delete what is too many of the same servers."""
    rows = [_row(each, host, now) for each in measured if each.is_usable]
    if not rows:
        return
    statements.insert(writer, rows)
    seen: Counter[tuple[str, bool]] = Counter()
    surplus: list[int] = []
    for number, server_uuid, failed in statements.kept(
        writer, host, {row["server_uuid"] for row in rows}
    ):
        seen[server_uuid, failed] += 1
        if seen[server_uuid, failed] > (KEPT_FAILURES if failed else KEPT):
            surplus.append(number)
    statements.delete(writer, surplus)


def _row(measured: Measured, host: str, now: datetime) -> dict[str, Any]:
    row = {name: getattr(measured, name) for name in Measured.__slots__}
    failed = measured.failure is not None or not measured.windows
    row["windows"] = None if failed else json.dumps(measured.windows, separators=(",", ":"))
    return row | {
        "host": host,
        "measured_at": to_store(measured.measured_at),
        "last_reported_at": now,
    }


class MeasuredServer:
    """A server with its ``measurements``, the newest first."""

    __slots__ = ()

    measurements: Sequence[Measurement]

    @property
    def measurement(self) -> Measurement | None:
        """The newest measurement that has windows."""
        return next((each for each in self.measurements if each.failure is None), None)

    @property
    def failure(self) -> Measurement | None:
        """The failure to measure it, if nothing was measured since."""
        newest = next(iter(self.measurements), None)
        return newest if newest is not None and newest.failure is not None else None

# SPDX-License-Identifier: Apache-2.0
"""What an agent tells the conductor: the one typed payload, and the rules for reading it.

Instants are seconds since the epoch (UTC). On the wire an entry is a plain dictionary; fields that
are not known are left out, fields that the reader does not know are ignored: that is how agents
and conductors of neighbouring versions understand each other.
"""

import dataclasses
import enum
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from migprog.core.status import Phase, Status
from migprog.core.verdict import Verdict

MAX_TEXT = 255
# What a signed 64-bit column holds.
MAX_COUNT = 2**63 - 1
# The year 2200: a time beyond it is a broken clock, and some databases refuse it.
MAX_INSTANT = 7_258_118_400.0

_Check = Callable[[Any], Any]


class Malformed(ValueError):
    """An entry cannot be read; the text names the field, the value and the rule."""


def _uuid(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a UUID")
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _text(value: Any) -> str:
    """Tenants choose some of these: cut to size, and no control characters in a log or a page."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    text: str = value[:MAX_TEXT]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"must be a whole number from 0 to {MAX_COUNT}")
    return value


def _percent(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        raise ValueError("must be a whole number from 0 to 100")
    return value


def _seconds_from(least: float) -> _Check:
    def check(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError("must be a number of seconds")
        if not math.isfinite(value):
            raise ValueError("must be a number of seconds")
        if not least <= value <= MAX_INSTANT:
            raise ValueError(f"must be from {least:.0f} to {MAX_INSTANT:.0f} seconds")
        return float(value)

    return check


_seconds = _seconds_from(0.0)
# A distance between two instants.
_signed_seconds = _seconds_from(-MAX_INSTANT)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _one_of(kind: type[enum.StrEnum]) -> _Check:
    def check(value: Any) -> enum.StrEnum:
        try:
            return kind(value)
        except ValueError:
            raise ValueError("must be one of: " + ", ".join(kind)) from None

    return check


def _needed(check: _Check) -> Any:
    return dataclasses.field(metadata={"check": check})


def _optional(check: _Check) -> Any:
    return dataclasses.field(default=None, metadata={"check": check})


class _Entry:
    """Shared by what goes over the wire: a frozen dataclass whose fields carry their rule."""

    __slots__ = ()

    def to_wire(self) -> dict[str, Any]:
        values = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return {
            name: str(value) if isinstance(value, enum.Enum) else value
            for name, value in values
            if value is not None
        }

    @classmethod
    def from_wire(cls, entry: Any) -> Self:
        """Read an entry. Raises :class:`Malformed`."""
        if not isinstance(entry, Mapping):
            raise Malformed(f"an entry must be a dictionary, not {type(entry).__name__}")
        values = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            value = entry.get(field.name)
            if value is None:
                if field.default is dataclasses.MISSING:
                    raise Malformed(f"{field.name}: is missing")
                continue
            try:
                values[field.name] = field.metadata["check"](value)
            except ValueError as error:
                raise Malformed(f"{field.name}: {str(value)[:64]!r} {error}") from None
        return cls(**values)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report(_Entry):
    """One migration as its source's agent sees it, all from one sample.

    ``sequence`` grows with every report of a migration; a report that is not newer than what is
    stored changes nothing.
    """

    uuid: str = _needed(_uuid)
    server_uuid: str = _needed(_uuid)
    sequence: int = _needed(_count)
    status: Status = _needed(_one_of(Status))
    phase: Phase = _needed(_one_of(Phase))
    started_at: float = _needed(_seconds)
    sampled_at: float = _needed(_seconds)
    ended_at: float | None = _optional(_seconds)

    server_name: str | None = _optional(_text)
    project_id: str | None = _optional(_text)
    user_id: str | None = _optional(_text)

    percent: int | None = _optional(_percent)
    eta_seconds: float | None = _optional(_seconds)
    eta_low_seconds: float | None = _optional(_seconds)
    eta_high_seconds: float | None = _optional(_seconds)
    verdict: Verdict | None = _optional(_one_of(Verdict))
    reason: str | None = _optional(_text)

    memory_total_bytes: int | None = _optional(_count)
    memory_processed_bytes: int | None = _optional(_count)
    memory_remaining_bytes: int | None = _optional(_count)
    disk_total_bytes: int | None = _optional(_count)
    disk_processed_bytes: int | None = _optional(_count)
    disk_remaining_bytes: int | None = _optional(_count)
    memory_iteration: int | None = _optional(_count)
    throughput_bytes_per_second: int | None = _optional(_count)
    dirty_bytes_per_second: int | None = _optional(_count)
    boundary_remaining_bytes: int | None = _optional(_count)
    pause_needed_seconds: float | None = _optional(_seconds)
    bandwidth_needed_bytes_per_second: int | None = _optional(_count)
    pause_limit_seconds: float | None = _optional(_seconds)
    auto_converge_percent: int | None = _optional(_percent)

    total_seconds: float | None = _optional(_seconds)
    downtime_seconds: float | None = _optional(_seconds)
    error: str | None = _optional(_text)

    # Of a migration that has completed: see core/calibration.py.
    eta_at_25_seconds: float | None = _optional(_seconds)
    eta_off_at_25_seconds: float | None = _optional(_signed_seconds)
    eta_in_range_at_25: bool | None = _optional(_yes_or_no)
    eta_at_50_seconds: float | None = _optional(_seconds)
    eta_off_at_50_seconds: float | None = _optional(_signed_seconds)
    eta_in_range_at_50: bool | None = _optional(_yes_or_no)
    eta_at_75_seconds: float | None = _optional(_seconds)
    eta_off_at_75_seconds: float | None = _optional(_signed_seconds)
    eta_in_range_at_75: bool | None = _optional(_yes_or_no)


class ArrivalState(enum.StrEnum):
    """How far a server has come at its destination."""

    INCOMING = "incoming"
    RESUMED = "resumed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(_Entry):
    """A server that arrives, as its destination's agent sees it; it names the destination."""

    server_uuid: str = _needed(_uuid)
    state: ArrivalState = _needed(_one_of(ArrivalState))
    at: float = _needed(_seconds)


_E = TypeVar("_E", bound=_Entry)

# More than any hypervisor migrates at once; what does not fit leaves with the next batch.
MAX_BATCH = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """All that is due on one host, in one message.

    ``host`` is the compute host's name as Nova knows it, ``node`` its hypervisor's host name,
    ``address`` where migrations to it arrive (Nova's ``dest_host``), if known.
    """

    host: str
    node: str
    address: str | None = None
    reports: tuple[Report, ...] = ()
    arrivals: tuple[Arrival, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "node": self.node,
            "address": self.address,
            "reports": [report.to_wire() for report in self.reports],
            "arrivals": [arrival.to_wire() for arrival in self.arrivals],
        }

    @classmethod
    def from_wire(cls, wire: Any) -> tuple[Self, dict[str, str]]:
        """Read a batch entry by entry: what can be read, and why the rest was refused.

        The refusals are keyed ``reports[INDEX]`` and ``arrivals[INDEX]``.
        Raises :class:`Malformed` when the batch itself cannot be read.
        """
        if not isinstance(wire, Mapping):
            raise Malformed("a batch must be a dictionary")
        refused: dict[str, str] = {}
        return cls(
            host=_name(wire, "host"),
            node=_name(wire, "node"),
            address=_name(wire, "address") if wire.get("address") else None,
            reports=tuple(_entries(Report, wire, "reports", refused)),
            arrivals=tuple(_entries(Arrival, wire, "arrivals", refused)),
        ), refused


def _name(wire: Mapping[str, Any], field: str) -> str:
    try:
        name = _text(wire.get(field))
    except ValueError as error:
        raise Malformed(f"{field}: {str(wire.get(field))[:64]!r} {error}") from None
    if not name:
        raise Malformed(f"{field}: must not be empty")
    return name


def _entries(
    kind: type[_E], wire: Mapping[str, Any], field: str, refused: dict[str, str]
) -> list[_E]:
    entries = wire.get(field) or []
    if not isinstance(entries, list | tuple) or len(entries) > MAX_BATCH:
        raise Malformed(f"{field}: must be a list of at most {MAX_BATCH} entries")
    read = []
    for index, entry in enumerate(entries):
        try:
            read.append(kind.from_wire(entry))
        except Malformed as error:
            refused[f"{field}[{index}]"] = str(error)
    return read


@dataclasses.dataclass(frozen=True, slots=True)
class Ack:
    """The conductor's answer.

    ``stored`` names each migration whose report is settled and the sequence that the store now
    holds for it (the report's own, or a newer one's). ``arrived`` names the servers whose arrival
    found its migration; an arrival that is not named may be told again. ``refused`` as in
    :meth:`Batch.from_wire`: repeating a refused entry is of no use.
    """

    stored: Mapping[str, int] = dataclasses.field(default_factory=dict)
    arrived: tuple[str, ...] = ()
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return {
            "stored": dict(self.stored),
            "arrived": list(self.arrived),
            "refused": dict(self.refused),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None) -> Self:
        """Read an answer, of an older or a newer conductor too."""
        wire = wire or {}
        return cls(
            stored=dict(wire.get("stored") or {}),
            arrived=tuple(wire.get("arrived") or ()),
            refused=dict(wire.get("refused") or {}),
        )

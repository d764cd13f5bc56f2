# SPDX-License-Identifier: Apache-2.0
"""The messages from agents to conductors, and the answer to them.

Instants are seconds since the epoch (UTC). How entries travel is in :mod:`migprog.core.wire_table`.
"""

import dataclasses
import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self, TypeVar

from migprog.core import advice_entry, fields, newer_words, operator_actions, wire_table
from migprog.core.advice_entry import AdviceEntry
from migprog.core.fields import needed, optional
from migprog.core.forecast.expectation import Expectation
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.measurement import MAX_MEASUREMENTS, Measured
from migprog.core.operator_actions import OperatorAction
from migprog.core.status import Phase, Status
from migprog.core.wire_table import Dropped, Malformed

# The copy of a disk: its name in the guest, bytes in all, bytes copied.
DiskFigures = tuple[str, int, int]


def _status_instead(word: str, known: Mapping[str, Any]) -> Status:
    return newer_words.status(word, has_ended=known.get("ended_at") is not None)


def _phase_instead(word: str, known: Mapping[str, Any]) -> Phase:
    return newer_words.phase(word, known["status"])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One migration as its source's agent sees it, all from one sample.

    ``sequence`` grows with every report of a migration; a report that is not newer than the stored
    one changes nothing. ``advice`` is all that steering has decided about it so far, the newest
    last; None where there is no steering. ``actions`` is what operators asked the agent to do, the
    newest last; None: nothing.
    """

    uuid: str = needed(fields.uuid_text)
    server_uuid: str = needed(fields.uuid_text)
    sequence: int = needed(fields.count)
    status: Status = needed(fields.one_of(Status), _status_instead)
    phase: Phase = needed(fields.one_of(Phase), _phase_instead)
    started_at: float = needed(fields.seconds)
    sampled_at: float = needed(fields.seconds)
    ended_at: float | None = optional(fields.seconds)

    server_name: str | None = optional(fields.text)
    project_id: str | None = optional(fields.text)
    user_id: str | None = optional(fields.text)

    percent: int | None = optional(fields.percent)
    eta_seconds: float | None = optional(fields.seconds)
    eta_low_seconds: float | None = optional(fields.seconds)
    eta_high_seconds: float | None = optional(fields.seconds)
    verdict: Verdict | None = optional(fields.one_of(Verdict))
    verdict_reason: VerdictReason | None = optional(fields.one_of(VerdictReason))
    verdict_message: str | None = optional(fields.text)

    memory_total_bytes: int | None = optional(fields.count)
    memory_processed_bytes: int | None = optional(fields.count)
    memory_remaining_bytes: int | None = optional(fields.count)
    disk_total_bytes: int | None = optional(fields.count)
    disk_processed_bytes: int | None = optional(fields.count)
    disk_remaining_bytes: int | None = optional(fields.count)
    memory_iteration: int | None = optional(fields.count)
    throughput_bytes_per_second: int | None = optional(fields.count)
    dirty_bytes_per_second: int | None = optional(fields.count)
    iteration_start_remaining_bytes: int | None = optional(fields.count)
    downtime_needed_seconds: float | None = optional(fields.seconds)
    bandwidth_needed_bytes_per_second: int | None = optional(fields.count)
    downtime_limit_seconds: float | None = optional(fields.seconds)
    expected_downtime_seconds: float | None = optional(fields.seconds)
    cpu_throttle_percent: int | None = optional(fields.percent)
    vfio_transferred_bytes: int | None = optional(fields.count)
    disks: tuple[DiskFigures, ...] | None = optional(fields.disks)
    advice: tuple[AdviceEntry, ...] | None = optional(advice_entry.rule)
    actions: tuple[OperatorAction, ...] | None = optional(operator_actions.rule)

    total_seconds: float | None = optional(fields.seconds)
    downtime_seconds: float | None = optional(fields.seconds)
    error: str | None = optional(fields.text)

    # Of a migration that has completed: see core/forecast/calibration.py.
    eta_at_25_seconds: float | None = optional(fields.seconds)
    eta_error_at_25_seconds: float | None = optional(fields.signed_seconds)
    eta_in_range_at_25: bool | None = optional(fields.yes_or_no)
    eta_at_50_seconds: float | None = optional(fields.seconds)
    eta_error_at_50_seconds: float | None = optional(fields.signed_seconds)
    eta_in_range_at_50: bool | None = optional(fields.yes_or_no)
    eta_at_75_seconds: float | None = optional(fields.seconds)
    eta_error_at_75_seconds: float | None = optional(fields.signed_seconds)
    eta_in_range_at_75: bool | None = optional(fields.yes_or_no)


class ArrivalState(enum.StrEnum):
    """How far an arriving server is, as its destination sees it."""

    INCOMING = "incoming"
    RESUMED = "resumed"


def _state_instead(_word: str, known: Mapping[str, Any]) -> ArrivalState:
    """Return the state that claims least, for a word of a later version."""
    return ArrivalState.RESUMED if known.get("complete") else ArrivalState.INCOMING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A server that arrives, as its destination's agent sees it; it names the destination.

    ``found``: it was seen here at ``at``, and has arrived at any time before. ``complete``: all of
    it is there, and it will not go back. Then the final counters may be known here too, from
    libvirt's statistics of the whole job. ``unmatched_seconds``: so long ago a conductor first
    received it and knew of no such migration. ``gone_after_seconds``: so long after it began to
    arrive it was gone again, as the migration failed.
    """

    server_uuid: str = needed(fields.uuid_text)
    state: ArrivalState = needed(fields.one_of(ArrivalState), _state_instead)
    at: float = needed(fields.seconds)
    found: bool | None = optional(fields.yes_or_no)
    complete: bool | None = optional(fields.yes_or_no)
    unmatched_seconds: float | None = optional(fields.seconds)
    total_seconds: float | None = optional(fields.seconds)
    downtime_seconds: float | None = optional(fields.seconds)
    memory_total_bytes: int | None = optional(fields.count)
    memory_processed_bytes: int | None = optional(fields.count)
    memory_remaining_bytes: int | None = optional(fields.count)
    disk_total_bytes: int | None = optional(fields.count)
    disk_processed_bytes: int | None = optional(fields.count)
    disk_remaining_bytes: int | None = optional(fields.count)
    memory_iteration: int | None = optional(fields.count)
    gone_after_seconds: float | None = optional(fields.seconds)

    @property
    def is_last(self) -> bool:
        """Whether this is the last arrival of it here."""
        return bool(self.complete) or self.gone_after_seconds is not None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent's heartbeat, sent whether or not anything migrates.

    ``started_at`` is when it started. It reports progress every ``report_interval_seconds`` now,
    and itself every ``heartbeat_interval_seconds``. ``migrations`` are those that it monitors;
    ``servers`` run on its host and have ``servers_memory_bytes`` together, None while libvirt does
    not answer. ``actions_enabled``: whether it accepts actions on migrations;
    ``measurements_enabled``: whether it accepts requests to measure servers. ``key`` is a secret of
    the agent's, by which the conductors recognize it. ``loop_age_seconds``: how long ago its loop
    last began a turn; it does so each few seconds, while this message comes from another thread.
    """

    version: str = needed(fields.word)
    started_at: float = needed(fields.seconds)
    report_interval_seconds: float = needed(fields.seconds)
    heartbeat_interval_seconds: float = needed(fields.seconds)
    migrations: int = needed(fields.small_count)
    servers: int | None = optional(fields.small_count)
    servers_memory_bytes: int | None = optional(fields.count)
    actions_enabled: bool | None = optional(fields.yes_or_no)
    measurements_enabled: bool | None = optional(fields.yes_or_no)
    key: str | None = optional(fields.text)
    loop_age_seconds: float | None = optional(fields.seconds)


# What a destination may know of the whole migration: what both are reported with.
ARRIVAL_FIGURES = tuple(
    name for name in Report.__slots__ if name in Arrival.__slots__ and name != "server_uuid"
)

# Constant facts of a migration. Once a conductor has them they need not be sent again.
LASTING = frozenset({"server_name", "project_id", "user_id"})
# Figures of a migration in progress: an end has none of them.
ONLY_IN_PROGRESS = (
    *("eta_seconds", "eta_low_seconds", "eta_high_seconds"),
    "expected_downtime_seconds",
)

_E = TypeVar("_E")

# More than any hypervisor migrates at once; what does not fit is sent with the next batch.
MAX_BATCH = 500
# In one answer: of more that begin at once, the others are forecast without it.
MAX_EXPECTED = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """One message: all that a host has to report, and its heartbeat.

    ``host`` is the compute host's name as Nova knows it, ``node`` its hypervisor's host name,
    ``address`` where migrations to it arrive (Nova's ``dest_host``), if known. ``sent_at`` is the
    host's own time, by the clock of all its instants: it may be wrong
    (:mod:`migprog.core.clocks`).
    """

    host: str
    node: str
    address: str | None = None
    reports: tuple[Report, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    agent: Agent | None = None
    sent_at: float | None = None
    measurements: tuple[Measured, ...] = ()

    def to_wire(
        self, without: Collection[str] = (), dropped: Dropped | None = None
    ) -> dict[str, Any]:
        """Return plain values; the fields named in ``without`` are left out of the reports.

        ``dropped`` counts the optional values that break their rules, and are not sent.
        """
        wire: dict[str, Any] = {"host": self.host, "node": self.node, "address": self.address}
        for key, entries, left_out in (
            ("reports", self.reports, without),
            ("arrivals", self.arrivals, ()),
            ("measurements", self.measurements, ()),
            ("agent", (self.agent,) if self.agent else (), ()),
        ):
            if entries:
                wire[key] = wire_table.write(entries, left_out, dropped)
        if self.sent_at is not None:
            wire["sent_at"] = self.sent_at
        return wire

    @classmethod
    def from_wire(cls, wire: Any, dropped: Dropped | None = None) -> tuple[Self, dict[str, str]]:
        """Read a batch entry by entry; return the batch, and why the other entries were refused.

        The refusals are keyed ``reports[ROW]``, ``arrivals[ROW]``, ``measurements[ROW]`` and
        ``agent[0]``. ``dropped`` counts the optional values that break their rules: their entries
        are read without them. Raises :class:`Malformed` when the batch itself cannot be read.
        """
        if not isinstance(wire, Mapping):
            raise Malformed("a batch must be a dictionary")
        refused: dict[str, str] = {}
        dropped = Dropped() if dropped is None else dropped
        return cls(
            host=_name(wire, "host"),
            node=_name(wire, "node"),
            address=_optional(_host_name, wire, "address", dropped),
            reports=_entries(Report, wire, "reports", refused, dropped),
            arrivals=_entries(Arrival, wire, "arrivals", refused, dropped),
            agent=next(iter(_entries(Agent, wire, "agent", refused, dropped, most=1)), None),
            sent_at=_optional(fields.seconds, wire, "sent_at", dropped),
            measurements=_entries(
                Measured, wire, "measurements", refused, dropped, most=MAX_MEASUREMENTS
            ),
        ), refused


def _name(wire: Mapping[str, Any], key: str) -> str:
    try:
        return _host_name(wire.get(key))
    except ValueError as error:
        raise Malformed(f"{key}: {fields.shown(wire.get(key))} {error}") from None


def _host_name(value: Any) -> str:
    name = fields.text(value)
    # MySQL ignores trailing blanks when it compares.
    if not name.strip():
        raise ValueError("must not be blank")
    return name


def _optional(
    rule: Callable[[Any], _E], wire: Mapping[str, Any], key: str, dropped: Dropped
) -> _E | None:
    if wire.get(key) is None:
        return None
    try:
        return rule(wire[key])
    except ValueError as error:
        dropped.add(key, wire[key], error)
        return None


def _entries(
    kind: type[_E],
    wire: Mapping[str, Any],
    key: str,
    refused: dict[str, str],
    dropped: Dropped,
    most: int = MAX_BATCH,
) -> tuple[_E, ...]:
    if wire.get(key) is None:
        return ()
    try:
        entries, why = wire_table.read(kind, wire[key], most, dropped)
    except Malformed as error:
        raise Malformed(f"{key}: {error}") from None
    refused |= {f"{key}[{row}]": text for row, text in why.items()}
    return tuple(entries)


@dataclasses.dataclass(frozen=True, slots=True)
class Ack:
    """The conductor's answer to a batch.

    ``arrived`` has the UUIDs of the servers whose arrival is resolved; the agent sends the others'
    again. ``refused`` as in :meth:`Batch.from_wire`: a refused entry is refused again if repeated.
    ``destinations`` has the destination hosts by the migrations' UUIDs, where they are known.
    ``expected``: what was known of migrations before they began, by their UUIDs, in the answer to
    the first report of each; at most MAX_EXPECTED. All reports that are not refused are stored, or
    change nothing.
    """

    arrived: tuple[str, ...] = ()
    refused: Mapping[str, str] = dataclasses.field(default_factory=dict)
    destinations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    expected: Mapping[str, Expectation] = dataclasses.field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {
            "arrived": list(self.arrived),
            "refused": dict(self.refused),
            "destinations": dict(self.destinations),
        }
        if self.expected:
            wire["expected"] = {uuid: each.to_wire() for uuid, each in self.expected.items()}
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None) -> Self:
        """Read an answer, of an older or a newer conductor too."""
        wire = wire or {}
        return cls(
            arrived=tuple(wire.get("arrived") or ()),
            refused=dict(wire.get("refused") or {}),
            destinations=dict(wire.get("destinations") or {}),
            expected=_expected(wire.get("expected")),
        )


def _expected(wire: Any) -> dict[str, Expectation]:
    """Read what an answer says of migrations; what breaks the rules is left out."""
    if not isinstance(wire, Mapping):
        return {}
    read = {uuid: Expectation.from_wire(each) for uuid, each in list(wire.items())[:MAX_EXPECTED]}
    return {uuid: each for uuid, each in read.items() if each is not None}

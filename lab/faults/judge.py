# SPDX-License-Identifier: Apache-2.0
"""Check the records. Pure: what happened and what was read in, errors out.

The rules:

* Each migration has one record.
* Its status is how it ended. ``unknown`` is right for one that has not completed, if its source's
  agent was dead at the end, or died before it could be certain: libvirt keeps nothing of an
  aborted job. For a completed one ``unknown`` is wrong, since its destination knows.
* QEMU sometimes fails a migration that is being aborted. If libvirt says failed, too, both
  statuses are right.
* A restarted libvirtd cancels a migration as it cleans up. No client aborted it, so it failed; but
  QEMU says cancelled: both statuses are right.
* A completed one has its destination and libvirt's final figures.
* The source may be missing where its agent was dead from the begin, or nearly so, to the end; or
  from soon after the begin, and had nothing of it on disk: where processors are short it takes a
  while to find a migration.
* A percentage never goes back, and does not become unknown again.
* A server's progress is that of its newest migration, whatever the hosts' clocks show.
* The API answers with an error of its own (5xx) only while its database is away.
"""

import enum
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.faults.ground_truth import Ending, Outage, Part, Seen, Truth

# An agent that is killed so soon after an end has not reported it: it waits 2 s for a more certain
# outcome, and then for the disk.
_CERTAIN_SECONDS = 3.0
# A restarted agent has read its server by then.
_LOOK_SECONDS = 2.0
# The time from libvirt's start of a job until the agent has found it and stored it on disk.
_FOUND_SECONDS = 1.0
# The longest such time.
_FOUND_LATEST_SECONDS = 10.0
# Connections of a pool fail one by one, and the database's start is not known exactly.
_RECOVERY_SECONDS = 1.0
# At the destination libvirt's job looks shorter, as it begins when the source has prepared it: by
# milliseconds, or more where others need the processors.
_TOTAL_SECONDS = 0.5

Record = Mapping[str, Any]


class Wrong(enum.StrEnum):
    """The kinds of errors, by their names in the figures."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    WRONG = "wrong"
    PERCENT_BACK = "percent_back"
    API_5XX = "api_5xx_beyond_outage"


@dataclass(frozen=True, slots=True)
class Finding:
    """An error, and a line that describes it."""

    wrong: Wrong
    text: str


def judge(truth: Truth, records: Sequence[Record], outages: Sequence[Outage]) -> list[Finding]:
    """Return the errors in the ``records`` of one migration."""
    name = f"{truth.server_uuid} ({truth.source} to {truth.destination}, {truth.ending})"
    if not records:
        return [Finding(Wrong.LOST, f"{name} has no record")]
    findings = []
    if len(records) > 1:
        held = ", ".join(f"{record['id']} {record['status']}" for record in records)
        findings.append(Finding(Wrong.DUPLICATED, f"{name} has {len(records)} records: {held}"))
    accepted = statuses(truth, outages)
    record = next((each for each in records if each["status"] in accepted), records[0])
    source = {truth.source, None} if is_unseen(truth, outages) else {truth.source}
    differences = list(_differences(truth, record, accepted, source))
    if differences:
        text = f"{name}, record {record['id']}: {'; '.join(differences)}"
        text += f" (libvirt: {truth.error})" if truth.error else ""
        findings.append(Finding(Wrong.WRONG, text))
    return findings


def statuses(truth: Truth, outages: Iterable[Outage]) -> set[str]:
    """Return the right statuses."""
    right: set[str] = {truth.ending}
    if truth.ending is Ending.COMPLETED:
        return right
    if truth.ending is Ending.CANCELLED and not truth.was_aborted:
        right.add(Ending.FAILED)
    for outage in outages:
        if outage.part is Part.LIBVIRT and _meets(outage, truth.began_at, truth.ended_at):
            right |= {Ending.FAILED, Ending.CANCELLED}
        is_source = outage.part is Part.AGENT and outage.host == truth.source
        blind_from = truth.ended_at - _LOOK_SECONDS
        if is_source and _meets(outage, blind_from, truth.ended_at + _CERTAIN_SECONDS):
            right.add("unknown")
    return right


def is_unseen(truth: Truth, outages: Iterable[Outage]) -> bool:
    """Whether the source's agent was dead from a migration's begin to its end, or had not found it
    when it died."""
    return any(
        outage.part is Part.AGENT
        and outage.host == truth.source
        and outage.began_at <= truth.began_at + _found_seconds(truth, outage)
        and outage.ended_at >= truth.ended_at - _LOOK_SECONDS
        for outage in outages
    )


def _found_seconds(truth: Truth, outage: Outage) -> float:
    """Return how long the source's agent may have taken to find a migration when it died."""
    had_found = outage.kept is None or truth.server_uuid in outage.kept
    return _FOUND_SECONDS if had_found else _FOUND_LATEST_SECONDS


def does_not_speak(truth: Truth, records: Sequence[Record], server: Record) -> list[Finding]:
    """Return errors where a server's progress is not that of its newest migration."""
    known = [record["uuid"] for record in records if record["source_compute"] is not None]
    if not known or server["migration_uuid"] in known:
        return []
    text = f"{truth.server_uuid} is shown by migration {server['migration_uuid']}, not {known[0]}"
    return [Finding(Wrong.WRONG, text)]


def is_settled(truth: Truth, record: Record) -> bool:
    """Return whether a record is final."""
    if record["in_progress"]:
        return False
    is_whole = record["status"] == Ending.COMPLETED and record["dest_compute"] is not None
    return is_whole or truth.ending is not Ending.COMPLETED


def percents_back(seen: Iterable[Seen]) -> list[Finding]:
    """Return errors where a percentage decreased between two answers."""
    before: dict[str, int] = {}
    findings = []
    for each in seen:
        for uuid, percent in each.percents.items():
            last = before.get(uuid)
            if last is not None and (percent is None or percent < last):
                findings.append(Finding(Wrong.PERCENT_BACK, f"{uuid}: {last} %, then {percent} %"))
            if percent is not None:
                before[uuid] = percent
    return findings


def errors_beyond(seen: Iterable[Seen], outages: Iterable[Outage]) -> list[Finding]:
    """Return the API's 5xx answers while its database was up."""
    away = [outage for outage in outages if outage.part is Part.DATABASE]
    return [
        Finding(Wrong.API_5XX, f"the API answered {each.status}")
        for each in seen
        if each.status is not None
        and each.status >= 500
        and not any(
            _meets(outage, each.asked_at - _RECOVERY_SECONDS, each.answered_at) for outage in away
        )
    ]


def slowdown(watched: Sequence[float], unwatched: Sequence[float]) -> float | None:
    """How many times as long as unwatched ones the watched ones took, by the medians; None where
    either are missing."""
    if not watched or not unwatched:
        return None
    return statistics.median(watched) / statistics.median(unwatched)


def _meets(outage: Outage, from_: float, until: float) -> bool:
    return outage.began_at <= until and from_ <= outage.ended_at


def _differences(
    truth: Truth, record: Record, accepted: set[str], sources: set[str | None]
) -> Iterable[str]:
    if record["status"] not in accepted:
        yield f"status {record['status']} ({record['error']}) instead of {' or '.join(accepted)}"
        return
    if record["source_compute"] not in sources:
        yield f"source_compute {record['source_compute']} instead of {truth.source}"
    wanted: dict[str, Any] = {"in_progress": False}
    if truth.ending is Ending.COMPLETED:
        wanted |= {"dest_compute": truth.destination, "percent": 100, "error": None}
        wanted |= _figures(truth.stats or {})
    for name, value in wanted.items():
        if record[name] != value:
            yield f"{name} {record[name]} instead of {value}"
    if truth.ending is Ending.COMPLETED and truth.stats:
        total, found = truth.stats["time_elapsed"] / 1000, record["total_seconds"]
        if found is None or abs(found - total) > _TOTAL_SECONDS:
            yield f"total_seconds {found} instead of {total}"


def _figures(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return errors where a record's final figures differ from libvirt's."""
    if not stats:
        return {}
    figures: dict[str, Any] = {
        f"{kind}_{what}_bytes": stats[f"{kind}_{what}"]
        for kind in ("memory", "disk")
        for what in ("total", "processed", "remaining")
    }
    return figures | {
        "downtime_seconds": stats["downtime"] / 1000,
        "memory_iteration": stats["memory_iteration"],
    }

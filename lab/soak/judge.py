# SPDX-License-Identifier: Apache-2.0
"""Is each migration stored once, as it was? Pure."""

import enum
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.soak.plan import STATUSES, Ending, Journey


class Wrong(enum.StrEnum):
    LOST = "lost"
    DUPLICATED = "duplicated"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a migration's records."""

    ending: Ending
    wrong: Wrong
    text: str


def judge(journeys: Sequence[Journey], records: Iterable[dict[str, Any]]) -> list[Finding]:
    """``records``: all that are stored, by their columns' names."""
    of_server = defaultdict(list)
    for record in records:
        of_server[record["server_uuid"]].append(record)
    findings = []
    for journey in journeys:
        found = of_server[journey.server_uuid]
        if not found:
            text = f"{journey.server_uuid} has no record"
            findings.append(Finding(journey.ending, Wrong.LOST, text))
        elif len(found) > 1:
            text = f"{journey.server_uuid} has {len(found)} records"
            findings.append(Finding(journey.ending, Wrong.DUPLICATED, text))
        else:
            findings += _compare(journey, found[0])
    return findings


def expected(journey: Journey) -> dict[str, Any]:
    """What its record has to say, as columns; final figures where libvirt has any."""
    columns: dict[str, Any] = {
        "status": STATUSES[journey.ending],
        "server_name": journey.server_name,
        "source_compute": journey.source,
    }
    if journey.ending is Ending.COMPLETED:
        final = journey.final()
        columns |= {
            "percent": 100,
            "dest_compute": journey.dest,
            "memory_total_bytes": final["memory_total"],
            "memory_processed_bytes": final["memory_processed"],
            "memory_remaining_bytes": final["memory_remaining"],
            "total_seconds": final["time_elapsed"] / 1000,
            "downtime_seconds": final["downtime"] / 1000,
        }
    return columns


def _compare(journey: Journey, record: dict[str, Any]) -> Iterable[Finding]:
    for name, value in expected(journey).items():
        if record[name] != value:
            text = f"{journey.server_uuid}: {name} is {record[name]!r}, not {value!r}"
            yield Finding(journey.ending, Wrong.WRONG, text)

# SPDX-License-Identifier: Apache-2.0
"""Transcripts: what reports and arrivals make of a migration's record, step by step, in text files.

A step is a line ``report STATUS NAME=VALUE ...`` or ``arrival STATE NAME=VALUE ...``, and a line
``-> NAME=VALUE ...``: what it changed of the record. After an arrival follows ``resolved``, or
``repeat`` if the agent has to send it again. Names are those of Report and Arrival; instants count
in seconds from a common start. ``received`` is when the step is received (100), ``host`` who sends
it, ``heartbeat`` the interval of the source's agent. A line ``#`` is a comment.

The files are run by the rules in core/ (``unit/core/test_transcripts.py``) and by the store on each
database (``store_cases/transcripts.py``).

In ``notices/`` the line after a step is ``=> EVENT; EVENT ...``: what others are notified of
(``store_cases/notices.py``). There ``advice`` is a list ``ACTION:STATE,...``.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from migprog.core.messages import Arrival, ArrivalState, Report
from migprog.core.record import FIGURES
from migprog.core.status import Phase, Status
from migprog.tests.stores import START

FILES = sorted(pathlib.Path(__file__).parent.glob("*.txt"))
NOTICES = sorted((pathlib.Path(__file__).parent / "notices").glob("*.txt"))
NAMES = (
    *("status", "sequence", "percent", "source_compute", "dest_compute"),
    *("started_at", "sampled_at", "ended_at", "arrived_at"),
    *("server_name", "project_id", "user_id", *FIGURES),
)
_INSTANTS = {"started_at", "sampled_at", "ended_at", "at", "received"}


@dataclasses.dataclass(frozen=True)
class Step:
    """``received`` is in seconds since the epoch."""

    entry: Report | Arrival
    host: str
    received: float


# Takes a step; returns the record's values after it, of NAMES, none while there is no record; and
# of an arrival whether it is resolved.
Take = Callable[[Step], tuple[Mapping[str, Any], bool]]


def replay(path: pathlib.Path, uuid: str, server_uuid: str, take: Take) -> str:
    """Return the file's text with what the steps have really changed."""
    lines = []
    before: Mapping[str, str] = dict.fromkeys(NAMES, "None")
    for line in path.read_text().splitlines():
        if line.startswith("->"):
            continue
        lines.append(line)
        if not line.startswith(("report ", "arrival ")):
            continue
        step = _step(line, uuid, server_uuid)
        values, resolved = take(step)
        after = {name: _shown(name, values.get(name)) for name in NAMES}
        changed = [f"{name}={after[name]}" for name in NAMES if after[name] != before[name]]
        words = [*(changed or ["unchanged"])]
        if isinstance(step.entry, Arrival):
            words.append("resolved" if resolved else "repeat")
        lines.append(" ".join(["->", *words]))
        before = after
    return "\n".join(lines) + "\n"


def replay_notices(
    path: pathlib.Path, uuid: str, server_uuid: str, take: Callable[[Step], Sequence[str]]
) -> str:
    """Return the file's text with what ``take`` returns for each step."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("=>"):
            lines.append(line)
        if line.startswith(("report ", "arrival ")):
            events = take(_step(line, uuid, server_uuid))
            lines.append(f"=> {'; '.join(events) or 'nothing'}")
    return "\n".join(lines) + "\n"


def _step(line: str, uuid: str, server_uuid: str) -> Step:
    kind, state, *words = line.split()
    given: dict[str, Any] = dict(_read(kind, words))
    received = given.pop("received", START + 100)
    entry: Report | Arrival
    if kind == "report":
        host = given.pop("host", "source")
        status = Status(state.replace("+", " "))
        entry = Report(
            **{
                "uuid": uuid,
                "server_uuid": server_uuid,
                "status": status,
                "phase": Phase.MEMORY_ITERATIONS,
                "started_at": START,
                "sampled_at": START + given["sequence"],
                **given,
            }
        )
    else:
        host = given.pop("host", "dest")
        entry = Arrival(server_uuid=server_uuid, state=ArrivalState(state), **given)
    return Step(entry, host, received)


def _read(kind: str, words: list[str]) -> Iterator[tuple[str, Any]]:
    rules = {
        field.name: field.metadata["rule"]
        for field in dataclasses.fields(Report if kind == "report" else Arrival)
    }
    for word in words:
        name, _, text = word.partition("=")
        value: Any = {"yes": True, "no": False}.get(text, text)
        if name == "advice":
            value = [_advice(*each.split(":")) for each in text.split(",")]
        if text.lstrip("-").replace(".", "", 1).isdigit():
            value = float(text) if "." in text or name in _INSTANTS else int(text)
        if name in _INSTANTS:
            value += START
        yield name, rules[name](value) if name in rules else value


def _advice(action: str, state: str) -> dict[str, Any]:
    """Nova's own steps are named by their reasons."""
    reason = action if action.startswith("nova-") else "not-converging"
    words = {"action": action, "reason": reason, "message": f"{action}, please", "state": state}
    return {**words, "at": START, "works_by": START + 60, "figures": {"downtime_seconds": 1.5}}


def _shown(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        value = value.replace(tzinfo=UTC).timestamp() - START
        return f"{round(value, 3):g}"
    if name == "source_compute":
        # A record has an empty name where no source has reported, the API none.
        return str(value or None)
    return str(value).replace(" ", "+")

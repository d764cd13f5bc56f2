# SPDX-License-Identifier: Apache-2.0
"""Write a recording into a file of bounded size: late rows are thinned, the end is always there."""

import contextlib
import json
import os
import pathlib
import time
import uuid
from typing import TextIO

from migprog.recording.format import Row

_MAX_NAMESAKES = 100
# Each stage of a recording that becomes full is as long as all before it together.
_STAGES = 12


class _Room:
    """Room for rows of one kind. With ``thins``, half of it takes every row; the rest is divided
    into stages, of which each takes half as many as the one before it, over twice the time.

    So old rows are complete, the resolution of newer ones is a small share of the time that passed,
    and a few megabytes hold weeks.
    """

    def __init__(self, room_bytes: int, thins: bool) -> None:
        self._left = room_bytes
        self._stage_bytes = room_bytes // 2 // _STAGES
        self._next_stage = room_bytes // 2 if thins else 0
        self._every = 1
        self._seen = 0

    def takes(self, size_bytes: int) -> bool:
        self._seen += 1
        if self._seen % self._every or size_bytes > self._left:
            return False
        self._left -= size_bytes
        if self._left < self._next_stage:
            self._next_stage -= self._stage_bytes
            self._every *= 2
        return True


class BoundedFile:
    """One recording that is written, of at most ``max_bytes``, not counting its header and its end.

    It is made in ``directory`` and named after ``started``, when the migration began. All methods
    raise :class:`OSError` on errors of the disk.
    """

    def __init__(
        self, directory: pathlib.Path, header: Row, started: time.struct_time, max_bytes: int
    ) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", started)
        self.name, self._stream = _create(directory, f"{stamp}-{uuid.UUID(header['uuid'])}")
        self._final: Row | None = None
        # Iterations may begin ten times a second; other events are few, and each one matters.
        self._rooms = {
            "sample": _Room(max_bytes * 3 // 4, thins=True),
            "iteration": _Room(max_bytes // 8, thins=True),
            "event": _Room(max_bytes // 8, thins=False),
        }
        known = {key: value for key, value in header.items() if value is not None}
        self._write_line(json.dumps({"kind": "header", **known}))

    def write(self, kind: str, t: float, values: Row) -> None:
        """Write a row if there is room for it; the end is always written."""
        row = {"t": round(max(0.0, t), 3), "kind": kind, **values}
        if values.get("event") == "job_completed":
            self._final = values["stats"]
        if kind == "end" and self._final is not None:
            row["completed_stats"] = {"source": self._final}
        line = json.dumps(row)
        room = self._rooms.get(values.get("event", kind), self._rooms["event"])
        if kind == "end" or room.takes(len(line) + 1):
            self._write_line(line)

    def write_measurement(self, row: Row) -> None:
        """Write the row of what was measured before, which comes first."""
        self._write_line(json.dumps(row))

    def close(self) -> None:
        self._stream.close()

    def _write_line(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _create(directory: pathlib.Path, stem: str) -> tuple[str, TextIO]:
    """Create a file. A restarted agent records the same migration again: names may be taken."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for suffix in ("", *(f"-{number}" for number in range(2, _MAX_NAMESAKES))):
        name = f"{stem}{suffix}.jsonl"
        with contextlib.suppress(FileExistsError):
            return name, open(os.open(directory / name, flags, 0o640), "w")
    raise FileExistsError(f"there are {_MAX_NAMESAKES} recordings named {stem}")

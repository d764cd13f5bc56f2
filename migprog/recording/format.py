# SPDX-License-Identifier: Apache-2.0
"""Read recorded migrations: JSON lines, one file a migration, as doc/source/replay.rst describes
them. No libvirt is needed."""

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, BinaryIO

from migprog import exception
from migprog.core.forecast.job_sample import Disk

Row = dict[str, Any]
# The gzip magic number: the file's name does not matter.
_GZIP = b"\x1f\x8b"
# Twice what [compute] record_max_mib is by default; in memory it takes some ten times as much.
MAX_BYTES = 32 * 2**20
# The rows of our recordings are longer on average.
_MIN_ROW_BYTES = 256
_MAX_LINE_BYTES = 2**20
_CHUNK_BYTES = 2**16


class NotARecording(exception.MigprogError):
    """A file cannot be read as a recording; the text names the file and the line."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A migration as it was recorded; ``rows`` has what followed the header, in order.

    Every row has a finite ``t``, in seconds since the migration's start; rows of an unknown kind
    are left out. ``measurement`` is the row of what was measured before, which is not among them
    (:mod:`migprog.recording.forecast_before`).
    """

    name: str
    header: Row
    rows: tuple[Row, ...]
    measurement: Row | None = None

    @property
    def memory_size_bytes(self) -> int | None:
        return self._bytes("mem_mib")

    @property
    def memory_resident_bytes(self) -> int | None:
        """QEMU's resident memory when the migration began."""
        return self._bytes("resident_mib")

    def _bytes(self, key: str) -> int | None:
        mib: Any = self.header.get(key)
        return round(mib * 2**20) if is_number(mib) else None

    @property
    def completion_time_seconds(self) -> float | None:
        """The completion time that the agent expected, by earlier migrations."""
        seconds: Any = self.header.get("completion_time_seconds")
        return float(seconds) if is_number(seconds) else None


def read(path: str, max_bytes: int = MAX_BYTES) -> Recording:
    """Read a recording, compressed or not, of at most ``max_bytes`` unpacked.

    Raises :class:`NotARecording`.

    A recording may end anywhere: its writer may have been killed. A file that is not a recording
    may unpack to a thousand times its size.
    """
    header: Row | None = None
    rows: list[Row] = []
    for number, line, is_last in _numbered(path, max_bytes):
        if not line.strip():
            continue
        try:
            row = _parsed(line)
            if header is None:
                header = _checked_header(row)
            elif (checked := _checked(row)) is not None:
                rows.append(checked)
                if len(rows) > max_bytes // _MIN_ROW_BYTES:
                    raise ValueError(f"must be one of at most {len(rows) - 1} rows; see --max-mib")
        except json.JSONDecodeError as error:
            if header is not None and is_last:
                break
            raise NotARecording(f"{path}:{number}: is no JSON: {error.msg}") from None
        except ValueError as error:
            raise NotARecording(f"{path}:{number}: {error}") from None
    if header is None:
        raise NotARecording(f"{path}:1: the file is empty, a recording begins with its header")
    measurement = next((row for row in rows if row["kind"] == "measurement"), None)
    rows = [row for row in rows if row["kind"] != "measurement"]
    return Recording(path, header, tuple(rows), measurement)


def _numbered(path: str, max_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield each line with its number, and whether it is last. Raises :class:`NotARecording`."""
    number, line, read_bytes = 1, b"", 0
    try:
        with open(path, "rb") as file:
            for chunk in _unpacked(file):
                read_bytes += len(chunk)
                if read_bytes > max_bytes:
                    raise NotARecording(
                        f"{path}:{number}: a recording must have at most {max_bytes} bytes "
                        "unpacked; see --max-mib"
                    )
                *whole, line = (line + chunk).split(b"\n")
                for each in whole:
                    yield number, each, False
                    number += 1
                if len(line) > _MAX_LINE_BYTES:
                    raise NotARecording(
                        f"{path}:{number}: a line must have at most {_MAX_LINE_BYTES} bytes"
                    )
    except OSError as error:
        raise NotARecording(f"{path}: {error.strerror}") from error
    yield number, line, True


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """Yield the file's bytes; of compressed ones, as much as can be unpacked."""
    data = file.read(_CHUNK_BYTES)
    if not data.startswith(_GZIP):
        while data:
            yield data
            data = file.read(_CHUNK_BYTES)
        return
    while data.startswith(_GZIP):
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        is_full = False
        # The rest of a full chunk stays in the stream, also when all data has been read.
        while (data or is_full) and not stream.eof:
            try:
                chunk = stream.decompress(data, _CHUNK_BYTES)
            except zlib.error:
                return
            yield chunk
            is_full = len(chunk) == _CHUNK_BYTES
            data = stream.unconsumed_tail
            if not data and not is_full and not stream.eof:
                data = file.read(_CHUNK_BYTES)
        data = stream.unused_data + (file.read(_CHUNK_BYTES) if stream.eof else b"")


def _parsed(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise json.JSONDecodeError("not text in UTF-8", "", 0) from None
    except RecursionError:
        raise json.JSONDecodeError("lists and objects are nested too deeply", "", 0) from None
    if not isinstance(row, dict):
        raise ValueError("a line must be a JSON object")
    return row


def _checked_header(row: Row) -> Row:
    if row.get("kind") != "header":
        raise ValueError(f'a recording begins with a "header", not with {_shown(row.get("kind"))}')
    return row


def _checked(row: Row) -> Row | None:
    """Return the row if it is valid, None if its kind is unknown. Raises :class:`ValueError`."""
    kind = row.get("kind")
    if kind == "measurement":
        # It is read where it is asked for.
        return row
    if kind not in ("sample", "event", "action", "end"):
        return None
    if not is_number(row.get("t")):
        raise ValueError(f"t: {_shown(row.get('t'))} must be a number of seconds")
    if kind == "sample" and "error" not in row:
        row["stats"] = _checked_stats(row.get("stats"))
        if "disks" in row:
            row["disks"] = _checked_disks(row["disks"])
    if kind == "event":
        _check_event(row)
    return row


def _check_event(row: Row) -> None:
    """Check an event, and leave out what is not used of it. Raises :class:`ValueError`."""
    if row.get("event") == "job_completed":
        row["stats"] = _checked_stats(row.get("stats"))
    elif row.get("event") == "lifecycle":
        for field in ("code", "detail"):
            if not isinstance(row.get(field), int):
                raise ValueError(f"{field}: {_shown(row.get(field))} must be a whole number")


def _checked_stats(stats: Any) -> dict[str, int]:
    """Return libvirt's counters, without texts, which are not used here."""
    if not isinstance(stats, dict):
        raise ValueError(f"stats: {_shown(stats)} must be a JSON object")
    return {key: value for key, value in stats.items() if is_number(value)}


def _checked_disks(disks: Any) -> tuple[Disk, ...]:
    """Return the copies of disks, each from the values of a :class:`Disk`, if they can be read."""
    found = []
    for values in disks if isinstance(disks, list) else ():
        if isinstance(values, list) and len(values) == len(fields(Disk)):
            name, *figures = values
            total, processed, limit = figures
            if isinstance(name, str) and is_number(total) and is_number(processed):
                found.append(Disk(name, total, processed, limit if is_number(limit) else None))
    return tuple(found)


def is_number(value: Any) -> bool:
    """Return whether it is a number to calculate with; JSON has others."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and abs(value) < 2**64


def _shown(value: Any) -> str:
    return json.dumps(value)[:64]

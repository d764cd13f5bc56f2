# SPDX-License-Identifier: Apache-2.0
"""Write recordings (see format.py) without ever delaying the agent or making it fail.

The agent's loop puts rows into a queue and goes on; a real thread writes them, so that a hanging
disk delays nothing else. On an error that recording stops, and the loop logs it.
"""

import contextlib
import logging
import os
import pathlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from migprog.concurrency import native_queue, native_thread
from migprog.core import job_start
from migprog.core.fields import MAX_TEXT
from migprog.core.forecast import job_sample
from migprog.core.measurement import Measurement
from migprog.core.observation import Observation
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Status
from migprog.recording import observation_rows
from migprog.recording.bounded_file import BoundedFile
from migprog.recording.format import Row

LOG = logging.getLogger(__name__)
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f-]{36}(-\d+)?\.jsonl")
_OUTCOMES = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.CANCELLED: "failed"}
# Rows that wait for a first reading, which shows when the migration began.
_MAX_WAITING_ROWS = 64
# With so many rows queued, the disk counts as hung.
_MAX_QUEUED_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The most bytes of a recording, and how many recordings are kept."""

    max_bytes: int
    keep: int


@dataclass(slots=True, eq=False)
class MigrationRecording:
    """One migration's recording. Times are a monotonic clock's.

    ``measurement`` is the newest of the server, if it was measured; its time is by that clock, too.
    The loop fills in ``facts`` as soon as they are known, and sets ``silent`` when it has
    logged the ``error``, which the thread sets; the rest is the thread's.
    """

    recorder: "Recorder"
    server_uuid: str
    migration_uuid: str
    completion_time_seconds: float | None = None
    measurement: Measurement | None = None
    facts: ServerFacts = field(default_factory=ServerFacts)
    silent: bool = False
    error: str | None = None
    started_at: float | None = None
    waiting: list[tuple[str, float, Row]] = field(default_factory=list)
    writer: BoundedFile | None = None

    def take(self, seen: Observation) -> None:
        """Record what was seen of the migration."""
        if not self.recorder.is_recording:
            return
        row = observation_rows.to_row(seen)
        if row is not None:
            self.recorder.put(self, row[0], seen.at, row[1])

    def drop(self) -> None:
        """Remove the recording: it was no migration."""
        self.recorder.put(self, "drop", 0.0, {})

    def end(self, status: Status, error: str | None, at: float) -> None:
        """Record the end. One that was not seen is neither completed nor failed."""
        text = {"error": error[:MAX_TEXT]} if error else {}
        outcome = _OUTCOMES.get(status, "unknown")
        self.recorder.put(self, "end", at, {"outcome": outcome, **text})


class Recorder:
    """Writes the recordings of one agent into ``directory``; None: no recordings.

    ``host`` is the name of the agent's host, ``versions`` are libvirt's and the hypervisor's, once
    they are known.
    """

    def __init__(self, directory: str | None, limits: Limits) -> None:
        self.host: str | None = None
        self.versions: dict[str, int | None] = {}
        # Returns the newest measurement of a server.
        self.measured: Callable[[str], Measurement | None] = lambda _server_uuid: None
        self._directory = pathlib.Path(directory or "")
        self.is_recording = bool(directory)
        self._limits = limits
        # The C implementation, which eventlet does not patch.
        self._queue: Any = native_queue()
        self._open: set[str] = set()
        if self.is_recording:
            native_thread(self._run, "recordings")

    def begin(
        self, server_uuid: str, uuid: str, completion_time_seconds: float | None = None
    ) -> MigrationRecording:
        """Begin the recording of migration ``uuid``; ``completion_time_seconds`` is the completion
        time expected."""
        return MigrationRecording(
            self, server_uuid, uuid, completion_time_seconds, self.measured(server_uuid)
        )

    def stop(self) -> None:
        """Let the thread end when it has written all queued rows."""
        self._queue.put(None)

    def put(self, recording: MigrationRecording, kind: str, at: float, values: Row) -> None:
        """Queue a row for the thread; it never waits."""
        if not self.is_recording or recording.silent:
            return
        error = recording.error
        if error is None and self._queue.qsize() >= _MAX_QUEUED_ROWS:
            error = "the disk does not keep up"
        if error is not None:
            recording.silent = True
            LOG.warning(
                "server %s: the recording of migration %s stops: %s; monitoring continues; check "
                "[compute] record_path",
                *(recording.server_uuid, recording.migration_uuid, error),
            )
            return
        self._queue.put((recording, kind, at, values))

    # The thread that writes.

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            recording, *row = item
            if recording.error is not None:
                continue
            try:
                self._take(recording, *row)
            except Exception as error:
                recording.error = str(error)
                self._close(recording)

    def _take(self, recording: MigrationRecording, kind: str, at: float, values: Row) -> None:
        if kind == "drop":
            self._drop(recording)
            return
        recording.waiting.append((kind, at, values))
        if recording.writer is None:
            enough = kind == "end" or len(recording.waiting) > _MAX_WAITING_ROWS
            recording.started_at = _start(kind, at, values)
            if recording.started_at is None and enough:
                recording.started_at = recording.waiting[0][1]
            if recording.started_at is None:
                return
            recording.writer = self._writer(recording, recording.started_at)
        while recording.waiting:
            kind, at, values = recording.waiting.pop(0)
            recording.writer.write(kind, at - (recording.started_at or 0.0), values)
        if kind == "end":
            self._close(recording)

    def _drop(self, recording: MigrationRecording) -> None:
        recording.waiting.clear()
        self._close(recording)
        if recording.writer is not None:
            (self._directory / recording.writer.name).unlink(missing_ok=True)

    def _writer(self, recording: MigrationRecording, started_at: float) -> BoundedFile:
        started = time.gmtime(time.time() - time.monotonic() + started_at)
        facts = recording.facts
        header = {
            "scenario": "recorded",
            "uuid": recording.server_uuid,
            "mem_mib": _mib(facts.memory_size_bytes),
            "resident_mib": _mib(facts.memory_resident_bytes),
            "completion_time_seconds": recording.completion_time_seconds,
            "host": self.host,
            **self.versions,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
        }
        self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        writer = BoundedFile(self._directory, header, started, self._limits.max_bytes)
        self._open.add(writer.name)
        if recording.measurement is not None:
            writer.write_measurement(
                observation_rows.measurement_row(recording.measurement, started_at)
            )
        self._remove_oldest()
        return writer

    def _remove_oldest(self) -> None:
        names = sorted(name for name in os.listdir(self._directory) if _NAME.fullmatch(name))
        for name in names[: max(0, len(names) - self._limits.keep)]:
            if name not in self._open:
                (self._directory / name).unlink(missing_ok=True)

    def _close(self, recording: MigrationRecording) -> None:
        if recording.writer is not None:
            self._open.discard(recording.writer.name)
            # On a full disk, flushing the rest of the buffer fails again.
            with contextlib.suppress(OSError):
                recording.writer.close()


def _start(kind: str, at: float, values: Row) -> float | None:
    """Return when the migration began, if this is a reading that shows it."""

    stats = values.get("stats") or {}
    if kind != "sample" or job_sample.outgoing_job(stats) is not job_sample.JobState.ACTIVE:
        return None
    return job_start.began_at(stats, at)


def _mib(count_bytes: int | None) -> float | None:
    return None if count_bytes is None else count_bytes / 2**20

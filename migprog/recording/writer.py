# SPDX-License-Identifier: Apache-2.0
"""Has recordings (see recording.py) written, without ever making the agent wait or fail.

The agent's loop puts rows into a queue and goes on; a real thread writes them, so that a disk
that hangs holds up nobody. When something goes wrong that recording stops, and the loop says so.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migprog.concurrency import native_queue, native_thread
from migprog.core import job_start
from migprog.core.forecast import job_sample
from migprog.core.forecast.job_sample import Disk
from migprog.core.server_facts import ServerFacts
from migprog.core.status import Status
from migprog.recording.format import Row, Writer

LOG = logging.getLogger(__name__)
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f-]{36}(-\d+)?\.jsonl")
_OUTCOMES = {Status.COMPLETED: "completed", Status.FAILED: "failed", Status.CANCELLED: "failed"}
# Rows that wait for a first reading to tell when the migration began.
_MAX_WAITING_ROWS = 64
# So many rows behind, the disk is taken for hung.
_MAX_QUEUED_ROWS = 10_000
_MAX_TEXT = 255


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes a recording, and how many recordings are kept."""

    max_bytes: int
    keep: int


@dataclass(slots=True, eq=False)
class MigrationRecording:
    """One migration's recording. Times are a monotonic clock's.

    The loop fills in ``facts`` as soon as they are known, and sets ``silent`` when it has
    logged the ``error``, which the thread sets; the rest is the thread's.
    """

    recorder: "Recorder"
    server_uuid: str
    handover_seconds: float | None = None
    facts: ServerFacts = field(default_factory=ServerFacts)
    silent: bool = False
    error: str | None = None
    started_at: float | None = None
    waiting: list[tuple[str, float, Row]] = field(default_factory=list)
    writer: Writer | None = None

    def sample(
        self,
        stats: Mapping[str, Any],
        downtime_limit_seconds: float | None,
        at: float,
        disks: Sequence[Disk] | None = None,
    ) -> None:
        """A reading: libvirt's own statistics."""
        limit = (
            {}
            if downtime_limit_seconds is None
            else {"pause_limit_ms": downtime_limit_seconds * 1e3}
        )
        copies = {"disks": [dataclasses.astuple(disk) for disk in disks]} if disks else {}
        self.recorder.put(self, "sample", at, {"stats": dict(stats), **limit, **copies})

    def no_sample(self, error: str | None, error_code: int | None, at: float) -> None:
        """A reading that failed, with libvirt's number for the error if it comes from there."""
        code = {} if error_code is None else {"code": error_code}
        self.recorder.put(self, "sample", at, {"error": (error or "")[:_MAX_TEXT], **code})

    def event(self, event: str, at: float, **values: Any) -> None:
        self.recorder.put(self, "event", at, {"event": event, **values})

    def drop(self) -> None:
        """Keep nothing: it was no migration."""
        self.recorder.put(self, "drop", 0.0, {})

    def end(self, status: Status, error: str | None, at: float) -> None:
        """The last row. What nobody saw is neither completed nor failed."""
        text = {"error": error[:_MAX_TEXT]} if error else {}
        outcome = _OUTCOMES.get(status, "unknown")
        self.recorder.put(self, "end", at, {"outcome": outcome, **text})


class Recorder:
    """Writes the recordings of one agent into ``directory``; None: no recordings.

    ``host`` is what the agent's host is called, ``versions`` what libvirt tells of its own and the
    hypervisor's, once that is known.
    """

    def __init__(self, directory: str | None, limits: Limits) -> None:
        self.host: str | None = None
        self.versions: dict[str, int | None] = {}
        self._directory = pathlib.Path(directory or "")
        self._records = bool(directory)
        self._limits = limits
        # The C implementation, which eventlet does not patch.
        self._queue: Any = native_queue()
        self._open: set[str] = set()
        if self._records:
            native_thread(self._run, "recordings")

    def tape(self, server_uuid: str, handover_seconds: float | None = None) -> MigrationRecording:
        """A recording that begins; ``handover_seconds`` as the agent's monitor knows it."""
        return MigrationRecording(self, server_uuid, handover_seconds)

    def stop(self) -> None:
        """Let the thread end when it has written what it was given."""
        self._queue.put(None)

    def put(self, tape: MigrationRecording, kind: str, at: float, values: Row) -> None:
        """Hand a row over to the thread; it never waits."""
        if not self._records or tape.silent:
            return
        error = tape.error
        if error is None and self._queue.qsize() >= _MAX_QUEUED_ROWS:
            error = "the disk does not keep up"
        if error is not None:
            tape.silent = True
            LOG.warning("server %s: its recording stops: %s", tape.server_uuid, error)
            return
        self._queue.put((tape, kind, at, values))

    # The thread that writes.

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            tape, *row = item
            if tape.error is not None:
                continue
            try:
                self._take(tape, *row)
            except Exception as error:
                tape.error = str(error)
                self._close(tape)

    def _take(self, tape: MigrationRecording, kind: str, at: float, values: Row) -> None:
        if kind == "drop":
            self._drop(tape)
            return
        tape.waiting.append((kind, at, values))
        if tape.writer is None:
            enough = kind == "end" or len(tape.waiting) > _MAX_WAITING_ROWS
            tape.started_at = _start(kind, at, values)
            if tape.started_at is None and enough:
                tape.started_at = tape.waiting[0][1]
            if tape.started_at is None:
                return
            tape.writer = self._writer(tape, tape.started_at)
        while tape.waiting:
            kind, at, values = tape.waiting.pop(0)
            tape.writer.write(kind, at - (tape.started_at or 0.0), values)
        if kind == "end":
            self._close(tape)

    def _drop(self, tape: MigrationRecording) -> None:
        tape.waiting.clear()
        self._close(tape)
        if tape.writer is not None:
            (self._directory / tape.writer.name).unlink(missing_ok=True)

    def _writer(self, tape: MigrationRecording, started_at: float) -> Writer:
        started = time.gmtime(time.time() - time.monotonic() + started_at)
        facts = tape.facts
        header = {
            "scenario": "recorded",
            "uuid": tape.server_uuid,
            "mem_mib": _mib(facts.memory_size_bytes),
            "resident_mib": _mib(facts.memory_resident_bytes),
            "handover_seconds": tape.handover_seconds,
            "host": self.host,
            **self.versions,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
        }
        self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        writer = Writer(self._directory, header, started, self._limits.max_bytes)
        self._open.add(writer.name)
        self._remove_oldest()
        return writer

    def _remove_oldest(self) -> None:
        names = sorted(name for name in os.listdir(self._directory) if _NAME.fullmatch(name))
        for name in names[: max(0, len(names) - self._limits.keep)]:
            if name not in self._open:
                (self._directory / name).unlink(missing_ok=True)

    def _close(self, tape: MigrationRecording) -> None:
        if tape.writer is not None:
            self._open.discard(tape.writer.name)
            # A full disk refuses what is left in the buffer once more.
            with contextlib.suppress(OSError):
                tape.writer.close()


def _start(kind: str, at: float, values: Row) -> float | None:
    """When the migration began, if this is a reading that tells."""
    stats = values.get("stats") or {}
    if kind != "sample" or job_sample.outgoing_job(stats) is not job_sample.JobState.ACTIVE:
        return None
    return job_start.began_at(stats, at)


def _mib(count_bytes: int | None) -> float | None:
    return None if count_bytes is None else count_bytes / 2**20

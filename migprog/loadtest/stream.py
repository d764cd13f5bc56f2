# SPDX-License-Identifier: Apache-2.0
"""Recorded migrations as streams of reports, for simulated hosts to send.

Each recording runs once through the real monitor, with a report for every sample: so the cost of a
simulated host is that of scheduling, packing and sending reports only.
"""

import bisect
import dataclasses
import pathlib
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from migprog import exception
from migprog.core.messages import Report
from migprog.core.progress import MAX_UNDER_WAY
from migprog.core.schedule import Rules
from migprog.core.status import ENDED, Phase, Status
from migprog.recording import format
from migprog.recording.replay import replay

# Recordings of real migrations, one for each kind of behaviour.
DEFAULT = tuple(
    str(path) for path in sorted((pathlib.Path(__file__).parent / "recordings").glob("*.jsonl.gz"))
)
_LEAST_SAMPLES = 3
_AT_EVERY_SAMPLE = Rules(report_interval_seconds=0.0, heartbeat_interval_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Stream:
    """``reports[i]`` is current from ``times[i]`` on, in seconds since the start."""

    times: tuple[float, ...]
    reports: tuple[Report, ...]

    def at(self, seconds: float) -> Report:
        return self.reports[self._index(seconds)]

    def percent(self, seconds: float) -> int | None:
        """Return the percentage then. It moves by single points, as in a real migration of this
        length: samples of a stretched recording are so far apart that it would jump."""
        index = self._index(seconds)
        now = self.reports[index].percent
        if now is None or index + 1 == len(self.times):
            return now
        following = self.reports[index + 1].percent
        begin, end = self.times[index], self.times[index + 1]
        if following is None or end <= begin:
            return now
        share = max(0.0, seconds - begin) / (end - begin)
        # Only the end is 100 %.
        return now + int(share * max(0, min(following, MAX_UNDER_WAY) - now))

    def _index(self, seconds: float) -> int:
        return max(0, bisect.bisect_right(self.times, seconds) - 1)


def load(paths: Iterable[str], mean_seconds: float) -> list[Stream]:
    """Return the streams of recordings, all stretched by one factor to an average of
    ``mean_seconds``.

    Raises :class:`recording.format.NotARecording`, or :class:`exception.MigprogError` for one
    without a migration.
    """
    plain = [_stream(path) for path in paths]
    factor = mean_seconds / statistics.fmean(stream.times[-1] for stream in plain)
    return [
        Stream(tuple(factor * time for time in stream.times), stream.reports) for stream in plain
    ]


def _stream(path: str) -> Stream:
    sent = replay(format.read(path), _AT_EVERY_SAMPLE).reports
    if len(sent) < _LEAST_SAMPLES:
        raise exception.MigprogError(f"{path}: the recording shows no migration")
    times = [each.t - sent[0].t for each in sent]
    reports = [each.report for each in sent]
    if reports[-1].status not in ENDED:
        # A recording may end at any point.
        reports[-1] = dataclasses.replace(
            reports[-1],
            status=Status.CANCELLED,
            phase=Phase.DONE,
            error="the migration was aborted",
        )
    return Stream(tuple(times), tuple(reports))


def phases(streams: Sequence[Stream], count: int) -> list[tuple[Stream, float]]:
    """Return for each of ``count`` migrations a stream and the seconds of it that have passed,
    spread evenly over the streams and over their time."""
    golden = 0.618033988749895
    chosen = []
    for number in range(count):
        stream = streams[number % len(streams)]
        chosen.append((stream, stream.times[-1] * (number * golden % 1.0)))
    return chosen

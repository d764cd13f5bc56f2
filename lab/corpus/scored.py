# SPDX-License-Identifier: Apache-2.0
"""The recordings of the corpus through the forecast, each scored against what happened."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.corpus import computed, files
from lab.corpus.drawn import LAB_COMPLETION_SECONDS
from migprog.core.schedule import Rules
from migprog.recording import format as recordings
from migprog.recording.ground_truth import GroundTruth, truth
from migprog.recording.replay import replay
from migprog.recording.score import Score, score

# The agent's defaults.
RULES = Rules(report_interval_seconds=20.0, heartbeat_interval_seconds=30.0)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A recording, and what happened."""

    name: str
    recording: recordings.Recording
    truth: GroundTruth

    def score(self) -> Score:
        """Score the present forecast, with the completion time that earlier migrations took."""
        seconds = self.recording.completion_time_seconds or LAB_COMPLETION_SECONDS
        return score(self.name, replay(self.recording, RULES, seconds), self.truth, self.recording)


@functools.cache
def of_folder(folder: str) -> tuple[Case, ...]:
    """The cases that a folder has, in the order of their names."""
    paths = files.recordings(folder)
    return _cases((name, recordings.read(str(path))) for name, path in paths.items())


@functools.cache
def of_computed(seeds: range) -> tuple[Case, ...]:
    """The cases that are computed."""
    return _cases(
        (name, recordings.Recording(name, header, tuple(rows)))
        for name, (header, *rows) in computed.recordings(seeds)
    )


def _cases(found: Iterable[tuple[str, recordings.Recording]]) -> tuple[Case, ...]:
    pairs = [(name, recording, truth(recording)) for name, recording in found]
    return tuple(Case(name, recording, facts) for name, recording, facts in pairs if facts)


def score_all(cases: Sequence[Case]) -> list[Score]:
    """Score all of them by the present forecast."""
    return [case.score() for case in cases]

# SPDX-License-Identifier: Apache-2.0
"""Recordings of servers that have not migrated before, with the processor time of their vCPUs.

Each is replayed with it and without it. The bounds are those of doc/source/forecast.rst, with a
little room.
"""

import dataclasses
import functools
import statistics

import pytest

from lab.corpus import files
from migprog.core.forecast.resent import Resent
from migprog.core.schedule import Rules
from migprog.recording import format
from migprog.recording.ground_truth import truth
from migprog.recording.replay import replay
from migprog.recording.score import figures, score

# The agent's defaults, and what a completion took in the lab.
RULES = Rules(report_interval_seconds=10.0, heartbeat_interval_seconds=30.0)
COMPLETION_TIME_SECONDS = 0.27
KEY = "vcpu_time_seconds"

# Points from the true share of time, at most.
QUIET = {
    "vcpu-idle": 11.0,
    "vcpu-quiet-half-of-12": 10.5,
    "vcpu-disk-150-quiet": 7.0,
    "vcpu-quiet-of-60": 10.0,
}
BUSY = ["vcpu-slow-5-of-12", "vcpu-slow-25-of-60", "vcpu-bursts-5s-of-12"]
# One that is quiet until its first iteration is nearly over, and one that uses so much without
# writing that nothing can be said.
OTHERS = ["vcpu-busy-after-20s", "vcpu-quiet-half-of-12-100-hz"]
# It writes a word a page, which costs hardly any processor time.
WORDS = "vcpu-slow-5-of-12-a-word-a-page"


@functools.cache
def scored(name, with_vcpus=True, expected=None):
    recording = format.read(str(files.path_of(name, "vcpu")))
    if not with_vcpus:
        rows = tuple({k: v for k, v in row.items() if k != KEY} for row in recording.rows)
        recording = dataclasses.replace(recording, rows=rows)
    known = truth(recording)
    assert known is not None
    replayed = replay(recording, RULES, COMPLETION_TIME_SECONDS, expected)
    return figures([score(name, replayed, known, recording)])


def distance(name, *how):
    """What a reader sees, in points from the true share of time."""
    return scored(name, *how)["displayed_distance"]


def test_every_recording_of_this_folder_has_its_test():
    assert {*QUIET, *BUSY, *OTHERS, WORDS} == files.recordings("vcpu").keys()


@pytest.mark.parametrize("name", QUIET)
def test_percent_of_a_quiet_server_not_known_is_near_the_truth(name):
    assert distance(name) <= QUIET[name]


def test_percent_of_quiet_servers_not_known_is_nearer_to_the_truth_than_without():
    assert all(distance(name) < distance(name, False) - 0.2 for name in QUIET)
    assert statistics.fmean(map(distance, QUIET)) <= 9.5
    assert statistics.fmean(distance(name, False) for name in QUIET) > 10.0


@pytest.mark.parametrize("name", [*BUSY, *OTHERS])
def test_percent_of_other_servers_is_no_further_from_the_truth_than_without(name):
    assert distance(name) <= distance(name, False) + 0.2
    assert distance(name) < scored(name)["nova_distance"]


@pytest.mark.parametrize("name", [*QUIET, *BUSY, *OTHERS, WORDS])
def test_range_holds_the_truth_as_often_as_without(name):
    assert scored(name)["in_range"] >= scored(name, False)["in_range"] >= 0.8
    backs = ("percent_back", "percent_above_99", "percent_lost")
    assert [scored(name)[what] for what in backs] == [0, 0, 0]


def test_percent_of_a_server_that_writes_a_word_a_page_is_nearer_than_novas_progress():
    assert distance(WORDS) <= 5.0 < scored(WORDS)["nova_distance"]


@pytest.mark.parametrize("name", [*QUIET, *BUSY])
def test_what_a_server_has_sent_again_before_goes_before_its_processor_time(name):
    own = Resent.known(0.3)
    assert scored(name, True, own) == scored(name, False, own)

# SPDX-License-Identifier: Apache-2.0
"""The recorded corpus through the whole core: what the documentation claims must stay true.

The bounds are those of doc/source/forecast.rst, with a little room: a change that makes it
worse fails here, one that makes it better may tighten them.
"""

import functools
import itertools
from typing import Any

import pytest

from lab.corpus import files
from migprog.core.forecast.completion_time import resent_share
from migprog.core.forecast.job_sample import from_job_stats
from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import Rules
from migprog.recording import format
from migprog.recording.ground_truth import Group, truth
from migprog.recording.replay import replay
from migprog.recording.score import figures, score

CORPUS = files.HERE
# The agent's defaults.
RULES = Rules(report_interval_seconds=10.0, heartbeat_interval_seconds=30.0)
# What a hand-over took in the lab that made the recordings.
COMPLETION_TIME_SECONDS = 0.27


@functools.cache
def scores(half):
    found = []
    for path in sorted((CORPUS / half).glob("*.gz")):
        recorded = format.read(str(path))
        known = truth(recorded)
        if known is not None:
            said = replay(recorded, RULES, COMPLETION_TIME_SECONDS)
            found.append(score(path.name, said, known, recorded))
    assert len(found) >= (5 if half == "nova" else 40)
    return found


def of(half, group):
    return figured([each for each in scores(half) if each.group is group])


def figured(some) -> Any:
    return figures(some)


@pytest.mark.parametrize("half", ["tuned", "untouched"])
def test_percent_never_goes_back_or_above_99_or_away(half):
    every = figured(scores(half))
    assert (every["percent_back"], every["percent_above_99"], every["percent_lost"]) == (0, 0, 0)


@pytest.mark.parametrize("group", [Group.STEADY, Group.CHANGING])
@pytest.mark.parametrize("half", ["tuned", "untouched"])
def test_displayed_percent_is_nearer_to_the_truth_than_novas_progress(half, group):
    seen = of(half, group)
    assert seen["displayed_distance"] < seen["nova_distance"]
    # What is lost between the samples and the reader, by age, is little.
    assert seen["displayed_distance"] < seen["percent_distance"] + 1.5


def test_each_guest_of_a_real_nova_is_nearer_to_the_truth_than_novas_progress():
    for each in scores("nova"):
        seen = figured([each])
        assert seen["displayed_distance"] < seen["nova_distance"], each.name
        if "slow" in each.name:
            # Live, what is on its way to the reader adds a point.
            assert seen["displayed_distance"] <= 3.5
        if "disk" in each.name:
            assert seen["displayed_distance"] <= 10


@pytest.mark.parametrize("name", ["nova-slow-5-of-12", "nova-quiet-half-of-12"])
def test_a_server_that_has_migrated_before_is_judged_by_it(name):
    """Its destination knows it by the final statistics, as its source does."""
    recorded = format.read(str(CORPUS / "nova" / f"{name}.jsonl.gz"))
    known = truth(recorded)
    assert known is not None
    final = next(row for row in recorded.rows if row.get("event") == "job_completed")["stats"]
    share = resent_share(from_job_stats(final | {"type": 3}, known.end))
    distances = [
        figured([score(name, replay(recorded, RULES, COMPLETION_TIME_SECONDS, of), known)])[
            "displayed_distance"
        ]
        for of in (None, share)
    ]
    assert distances[1] <= min(7, distances[0] + 0.5)


@pytest.mark.parametrize("name", ["nova-slow-5-of-12", "nova-disk-150-quiet"])
def test_displayed_percent_is_never_old_and_begins_soon(name):
    recorded = format.read(str(CORPUS / "nova" / f"{name}.jsonl.gz"))
    sent = replay(recorded, RULES, COMPLETION_TIME_SECONDS).reports
    for before, after in itertools.pairwise(sent):
        assert after.t - before.report.sampled_at <= RULES.report_interval_seconds + 1
    moved = next(
        each.t
        for each in sent
        if each.report.memory_processed_bytes or each.report.disk_processed_bytes
    )
    first = next(each.t for each in sent if each.report.percent is not None)
    assert first - moved <= 1.5


def test_between_reports_a_reader_may_count_down_to_the_end():
    """``ends_at`` is when it was sampled and the time left then."""
    recorded = format.read(str(CORPUS / "nova" / "nova-slow-5-of-12.jsonl.gz"))
    known = truth(recorded)
    assert known is not None
    sent = [
        each
        for each in replay(recorded, RULES, COMPLETION_TIME_SECONDS).reports
        if known.second_iteration_start <= each.t < known.end
    ]
    assert len(sent) >= 6
    for each in sent:
        ends_at = each.report.sampled_at + (each.report.eta_seconds or 0.0)
        assert ends_at == pytest.approx(known.end, abs=1.5)
    # It stays the same while it is right, so reports may be far apart.
    last = sent[-1].report
    assert last.sampled_at + (last.eta_seconds or 0.0) == pytest.approx(known.end, abs=0.5)


@pytest.mark.parametrize("half", ["tuned", "untouched"])
def test_steady_guests(half):
    steady = of(half, Group.STEADY)
    assert steady["percent_distance"] <= 12
    assert steady["eta_error_median"] <= 0.04
    assert steady["eta_error_p90"] <= 0.13
    assert steady["early_eta_error_median_little"] <= 0.11


@pytest.mark.parametrize("half", ["tuned", "untouched"])
def test_guests_that_change(half):
    changing = of(half, Group.CHANGING)
    assert changing["percent_distance"] <= 20
    assert changing["eta_error_median"] <= 0.20
    # The goal is 0.60; forecast.rst says which recordings are in the way.
    assert changing["eta_error_p90"] <= 0.90


@pytest.mark.parametrize("half", ["tuned", "untouched"])
def test_ranges_and_verdicts(half):
    every = figured(scores(half))
    assert 0.75 <= every["in_range"] <= 0.90
    assert every["verdicts_wrong"] <= 0.03 * every["verdicts_judged"]
    assert every["flips_beyond_max"] <= 2
    assert every["called_after_seconds_max"] <= 60
    # Where passes take half a second, three seconds are more than two boundaries.
    late = [each for each in scores(half) if (each.called_after_seconds or 0) > 5]
    assert all(each.called_after_iterations <= 2 for each in late)


def verdicts(name):
    recorded = format.read(str(CORPUS / "handmade" / f"{name}.jsonl.gz"))
    changes: list[tuple[float, str]] = []
    for line in replay(recorded, RULES, None).lines:
        if not changes or changes[-1][1] != line.verdict:
            changes.append((line.t, line.verdict))
    return changes


def test_the_field_case_is_called_within_five_minutes_and_stays_called():
    changes = verdicts("field-831-mb-plateau-3.5-hours")
    assert [verdict for _, verdict in changes] == [
        Verdict.STARTING,
        Verdict.COPYING,
        Verdict.CONVERGING,
        Verdict.NOT_CONVERGING,
        Verdict.ENDED,
    ]
    assert changes[3][0] < 300


@pytest.mark.parametrize(
    "name",
    [
        "disk-of-2-tb-for-a-day",
        "disk-of-300-gib-then-memory",
        "hung-poll-for-25-s",
        "hung-poll-over-first-boundary",
    ],
)
def test_long_ways_that_end_well_are_never_called_stuck(name):
    assert {Verdict.NOT_CONVERGING, Verdict.STALLED}.isdisjoint(v for _, v in verdicts(name))

# SPDX-License-Identifier: Apache-2.0
"""The recorded corpus through the whole core: what the documentation claims must stay true.

The bounds are those of doc/source/forecast.rst, with a little room: a change that makes it
worse fails here, one that makes it better may tighten them.
"""

import functools
import itertools
from typing import Any

import pytest

from lab.corpus import files, scored
from migprog.core.forecast.job_sample import from_job_stats
from migprog.core.forecast.resent import Resent, ResentShares, resent_share
from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import Rules
from migprog.recording import format
from migprog.recording.ground_truth import Group, truth
from migprog.recording.replay import replay
from migprog.recording.score import figures, score

CORPUS = files.HERE
# The agent's defaults.
RULES = Rules(report_interval_seconds=20.0, heartbeat_interval_seconds=30.0)
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
def test_displayed_percent_is_nearer_to_the_time_passed_than_novas_progress(half, group):
    seen = of(half, group)
    assert seen["displayed_distance"] < seen["nova_distance"]
    # What is lost between the samples and the reader, by age, is little.
    assert seen["displayed_distance"] < seen["percent_distance"] + 1.5


# Points from the true share of time, at most. No counter of libvirt tells a quiet guest from
# a slow one before the second iteration starts: what is nearer to one is further from the other.
NOT_KNOWN = {
    "nova-quiet-half-of-12": 11.0,
    "nova-pair-a-quiet": 12.0,
    "nova-slow-5-of-12": 4.5,
    "nova-pair-b-slow": 4.5,
    "nova-disk-150-quiet": 6.0,
}
KNOWN = {
    "nova-quiet-half-of-12": 4.0,
    "nova-pair-a-quiet": 4.5,
    "nova-slow-5-of-12": 3.0,
    "nova-pair-b-slow": 3.0,
    "nova-disk-150-quiet": 3.0,
}


@functools.cache
def recorded(name):
    found = format.read(str(CORPUS / "nova" / f"{name}.jsonl.gz"))
    known = truth(found)
    assert known is not None
    return found, known


def distances(name, expected):
    """What a reader sees of a guest, and Nova's progress, in points from the true share of time."""
    found, known = recorded(name)
    said = replay(found, RULES, COMPLETION_TIME_SECONDS, expected)
    seen = figured([score(name, said, known, found)])
    return seen["displayed_distance"], seen["nova_distance"]


def share_of(name):
    """What a guest sent again, as both hosts of its migration learn it."""
    found, known = recorded(name)
    final = next(row for row in found.rows if row.get("event") == "job_completed")["stats"]
    share = resent_share(from_job_stats(final | {"type": 3}, known.end))
    assert share is not None
    return share


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_percent_of_an_unknown_server_is_nearer_to_the_time_passed_than_novas_progress(name):
    ours, novas = distances(name, None)
    assert ours <= NOT_KNOWN[name] and ours < novas


@pytest.mark.parametrize("name", KNOWN)
def test_percent_of_a_server_that_has_migrated_before_is_judged_by_that(name):
    ours, novas = distances(name, Resent.known(share_of(name)))
    assert ours <= KNOWN[name] and ours < novas


@pytest.mark.parametrize("name", KNOWN)
def test_percent_of_a_server_is_judged_by_other_servers_that_agree(name):
    others = ResentShares()
    for number, factor in enumerate((0.8, 1.0, 1.2)):
        others = others.after(f"server-{number}", factor * share_of(name))
    assert distances(name, others.expected("new"))[0] <= KNOWN[name]


def test_percent_of_a_server_is_not_worse_where_other_servers_disagree():
    others = ResentShares()
    for number, name in enumerate(KNOWN):
        others = others.after(f"server-{number}", share_of(name))
    for name, most in NOT_KNOWN.items():
        ours, novas = distances(name, others.expected("new"))
        assert ours <= most + 0.5 and ours < novas, name


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
    assert steady["eta_error_p90"] <= 0.10
    assert steady["early_eta_error_median_little"] <= 0.11


@pytest.mark.parametrize("half", ["tuned", "untouched"])
def test_guests_that_change(half):
    changing = of(half, Group.CHANGING)
    assert changing["percent_distance"] <= 20
    assert changing["eta_error_median"] <= 0.15
    assert changing["eta_error_p90"] <= 0.80


# The goals are 4 and 12 %, and 20 and 80 %: these drawn guests do not reach them.
@pytest.mark.parametrize(
    ("folder", "group", "median", "p90"),
    [
        ("varied", Group.STEADY, 0.06, 0.18),
        ("varied", Group.CHANGING, 0.18, 1.2),
        ("held", Group.STEADY, 0.09, 0.40),
        ("held", Group.CHANGING, 0.44, 1.9),
    ],
)
def test_drawn_guests(folder, group, median, p90):
    found = scored.score_all(scored.of_folder(folder))
    of_group = figured([each for each in found if each.group is group])
    assert of_group["eta_error_median"] <= median
    assert of_group["eta_error_p90"] <= p90
    assert figured(found)["verdicts_wrong"] == 0
    assert of_group["displayed_distance"] < of_group["nova_distance"] - 1


@pytest.mark.parametrize("group", [Group.STEADY, Group.CHANGING])
def test_percent_of_fresh_guests_is_nearer_to_the_time_passed_than_novas_progress(group):
    found = scored.score_all(scored.of_folder("fresh"))
    of_group = figured([each for each in found if each.group is group])
    assert of_group["displayed_distance"] < of_group["nova_distance"] - 2


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

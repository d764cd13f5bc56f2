# SPDX-License-Identifier: Apache-2.0
"""Post-mortems of recorded migrations, of which it is known what happened."""

import dataclasses
import functools

import pytest

from lab.corpus import files
from migprog.core.forecast.verdict import Verdict
from migprog.core.post_mortem.sentences import sentences
from migprog.core.post_mortem.summary import Summary, summarize
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import IN_PROGRESS, Phase, Status
from migprog.recording.ground_truth import truth
from migprog.tests.fixtures import hindsight
from migprog.tests.store_cases.advice import ACTION

# To play its reports takes longer than those of all others together.
A_DAY = pytest.param("disk-of-2-tb-for-a-day", marks=pytest.mark.long)
EVERY = [
    A_DAY if name in A_DAY.values else name
    for folder in ("tuned", "nova", "field", "handmade")
    for name in sorted(files.recordings(folder))
]


@functools.cache
def summary(name: str) -> Summary:
    return summarize(*hindsight.of_recording(name))


def action(name, word):
    (found,) = [each for each in summary(name).measures if each.action == word]
    return found


# Where most of the time went, its percent, and who did what.
KNOWN = {
    "aborted-in-disk-at-8s": ("disk-copy", 100, [("abort", None)]),
    "disk-of-2-tb-for-a-day": ("disk-copy", 96, []),
    "idle-256": ("memory-first-iteration", 96, []),
    "quick-60-at-36": ("memory-first-iteration", 87, []),
    "downtime-to-2500-frees-40-of-25": ("memory-iterations", 68, []),
    "auto-converge-24-at-35-of-25": ("memory-iterations", 70, [("auto-converge", "qemu")]),
    "field-831-mb-plateau-3.5-hours": ("memory-iterations", 99, [("abort", None)]),
    "network-stopped-at-10s": ("memory-iterations", 53, []),
    "lab-post-copy-recovered": ("post-copy", 64, [("post-copy", None)]),
    "lab-post-copy-stuck": ("post-copy", 57, [("post-copy", None)]),
    "lab-paused-by-another": ("guest-paused", 84, []),
    "lab-destination-hangs-at-switch-over": ("guest-paused", 96, []),
    "setup-for-9-minutes": ("setup", 100, []),
    "lab-save": (None, None, []),
}


@pytest.mark.parametrize("name", [A_DAY if name in A_DAY.values else name for name in KNOWN])
def test_summary_says_where_the_time_went_and_who_acted(name: str) -> None:
    dominant, percent, acted = KNOWN[name]
    spent = summary(name).spent
    assert spent.dominant == dominant
    assert (spent.reason is None) == (dominant is not None)
    found = {share.phase: share.percent for share in spent.shares}
    assert found.get(dominant) == percent
    assert [(each.action, each.by) for each in summary(name).actions] == acted
    assert all((each.reason is None) == (each.by is not None) for each in summary(name).actions)


def test_time_without_data_is_stalled() -> None:
    spent = summary("network-stopped-at-10s").spent
    assert spent.seconds_of("stalled") == pytest.approx(12, abs=1.5)


@pytest.mark.parametrize("name", EVERY)
def test_phases_make_up_the_whole_time(name: str) -> None:
    found = summary(name)
    assert sum(share.seconds for share in found.spent.shares) == pytest.approx(found.seconds)
    assert [len(each) < 600 for each in sentences(found)] == [True] * 5


# By how much a measure would have ended it earlier, and with which figures.
MEASURES = [
    # The limit of 2.5 s that was set after 24 s ended it.
    ("downtime-to-2500-frees-40-of-25", "raise-downtime", 15, {"downtime_limit_seconds": 2.05}),
    ("downtime-to-2500-frees-40-of-25", "post-copy", 15, {"iteration": 2}),
    ("field-831-mb-plateau-3.5-hours", "raise-downtime", 12_000, {"downtime_limit_seconds": 8.7}),
    pytest.param(*A_DAY.values, "raise-bandwidth", 42_500, {}, marks=A_DAY.marks),
    ("just-under-36-of-40", "dirty-less", 11.6, {}),
]


@pytest.mark.parametrize(("name", "word", "earlier", "figures"), MEASURES)
def test_measures_have_numbers(name: str, word: str, earlier: float, figures: dict) -> None:
    found = action(name, word)
    assert found.reason is None
    assert found.earlier_seconds == pytest.approx(earlier, rel=0.05)
    for key, value in figures.items():
        assert found.figures[key] == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    ("name", "word", "reason"),
    [
        ("idle-256", "raise-downtime", WhyNotKnown.NOTHING_RESENT),
        ("idle-256", "dirty-less", WhyNotKnown.NOTHING_RESENT),
        ("lab-post-copy-recovered", "post-copy", WhyNotKnown.DONE_ALREADY),
        ("vgpu-state-60s", "post-copy", WhyNotKnown.DEVICE_STATE_MOVED),
        ("vgpu-state-60s", "raise-downtime", WhyNotKnown.DEVICE_STATE_MOVED),
        # What took long was the pause, not the memory.
        ("lab-destination-hangs-at-switch-over", "raise-downtime", WhyNotKnown.NO_GAIN),
        ("lab-destination-hangs-at-switch-over", "raise-bandwidth", WhyNotKnown.NO_GAIN),
        ("aborted-in-disk-at-8s", "raise-bandwidth", WhyNotKnown.NOT_COMPLETED),
        ("setup-for-9-minutes", "raise-bandwidth", WhyNotKnown.NOT_OBSERVED),
        ("aborted-at-3s", "post-copy", WhyNotKnown.IN_PROGRESS),
    ],
)
def test_measure_that_helps_nothing_says_why(name: str, word: str, reason: WhyNotKnown) -> None:
    found = action(name, word)
    assert (found.reason, found.figures, found.earlier_seconds) == (reason, {}, None)


@pytest.mark.parametrize("name", EVERY)
def test_iteration_that_a_limit_would_have_met_is_one_of_the_recording(name: str) -> None:
    """Compared with what the recording's own rows say, which no report has."""
    found = action(name, "raise-downtime")
    if found.reason is not None:
        return
    known = truth(hindsight.recording(name))
    at, needed = found.figures["after_seconds"], found.figures["downtime_seconds"]
    rates = [
        point.throughput_bytes_per_second
        for point in hindsight.of_recording(name)[1]
        if point.memory_iteration == found.figures["iteration"]
    ]
    near = [start for start in known.iteration_starts if abs(start.t - at) <= 1.5]
    assert any(start.remaining_bytes <= 1.25 * needed * rate for start in near for rate in rates)


def test_forecasts_are_measured_by_the_end() -> None:
    found = summary("just-under-36-of-40").forecast
    assert (found.forecasts, found.in_range, found.reason) == (14, 8, None)
    assert found.error_seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", EVERY)
def test_forecasts_of_what_has_not_completed_have_no_error(name: str) -> None:
    known, about = summary(name), summary(name).forecast
    if known.status is not Status.COMPLETED:
        running = known.status in IN_PROGRESS
        assert about.reason is (WhyNotKnown.IN_PROGRESS if running else WhyNotKnown.NOT_COMPLETED)
        assert about.error_seconds is None


def test_pause_in_post_copy_is_distinguished_from_post_copy() -> None:
    spent = summary("lab-post-copy-recovered").spent
    assert spent.seconds_of("post-copy-paused") == pytest.approx(12, abs=0.5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "actions: abort after 8.0 s, by user 0a1b2c"),
        ({"user_id": None}, "actions: abort after 8.0 s, by an operator"),
        (
            {"state": "failed"},
            "actions: abort after 8.0 s, by user 0a1b2c, which libvirt refused; "
            "abort after 8.5 s, by whom is not recorded",
        ),
    ],
)
def test_post_mortem_names_the_operator_who_asked(changed: dict, said: str) -> None:
    known, points = hindsight.of_recording("aborted-in-disk-at-8s")
    asked = {**ACTION, "after_seconds": 8.0, **changed}
    found = sentences(summarize(dataclasses.replace(known, actions=(asked,)), points))
    assert found.actions == said


def test_verdict_that_ends_with_an_abort_is_in_the_post_mortem() -> None:
    """The abort followed the verdict at once, in the same step of the history."""
    recorded = hindsight.recording("field-831-mb-plateau-3.5-hours")
    sent = hindsight.reports(recorded)
    first, *_more = (n for n, each in enumerate(sent) if each.verdict is Verdict.NOT_CONVERGING)
    said = sent[first]
    moment = dataclasses.replace(
        said,
        sequence=said.sequence + 1,
        status=Status.CANCELLED,
        phase=Phase.DONE,
        verdict=Verdict.ENDED,
        sampled_at=said.sampled_at + 0.4,
        ended_at=said.sampled_at + 0.4,
    )
    reports = [*sent[: first + 1], moment]
    found = summarize(hindsight.record(moment), hindsight.history(reports))
    assert "not-converging was said after" in sentences(found).forecast


def test_verdicts_say_since_when_it_did_not_converge() -> None:
    found = {
        span.verdict.value: span for span in summary("field-831-mb-plateau-3.5-hours").verdicts
    }
    stuck = found["not-converging"]
    assert stuck.after_seconds < 300 and stuck.seconds > 12_000


def test_sentences_read_as_people_write() -> None:
    assert sentences(summary("downtime-to-2500-frees-40-of-25")) == (
        "completed after 24 s; downtime 42 ms",
        "time went into sending memory again 16 s (68 %), the first memory iteration 7.5 s (31 %), "
        "the switchover 264 ms (1 %)",
        "would have helped: a downtime limit of 2.1 s (it was 300 ms): end at iteration 2, 15 s "
        "earlier; or post-copy from iteration 2 on, 1.6 s long, 15 s earlier; or 50 MiB/s rather "
        "than 25 MiB/s, 12 s earlier",
        "forecasts were off by 15 s in the median, 78 % of the time left; the end was in the range "
        "of 5 of 9",
        "no action is recorded",
    )
    assert sentences(summary("disk-of-300-gib-then-stuck")).forecast == (
        "no forecast can be checked: it has not completed; not-converging was said after "
        "2 h 30 min, 29 min 40 s before the end"
    )

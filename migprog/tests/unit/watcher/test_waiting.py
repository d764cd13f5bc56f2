# SPDX-License-Identifier: Apache-2.0
import pytest

from migprog.watcher import waiting
from migprog.watcher.waiting import Kind, Outcome, Patience, Seen

_PATIENCE = Patience(start_seconds=120, trouble_seconds=600, total_seconds=7200)
_RUNNING = {"in_progress": True, "status": "running", "verdict": "converging", "stale": False}
_STUCK = {
    **_RUNNING,
    "verdict": "not-converging",
    "verdict_message": "remaining memory no longer shrinks",
}
_STALE = {**_RUNNING, "stale": True}


def _ended(status, **more):
    return {"in_progress": False, "status": status, "verdict": "ended", "stale": False, **more}


_COMPLETED, _FAILED, _GIVEN_UP = Kind.COMPLETED, Kind.FAILED, Kind.GIVEN_UP


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        # migprog's end decides, whatever Nova's status.
        (
            Seen(9, _ended("completed", total_seconds=83.4), "running"),
            (_COMPLETED, "completed in 1 min 23 s"),
        ),
        (Seen(9, _ended("completed"), None), (_COMPLETED, "completed")),
        (
            Seen(9, _ended("failed", error="connection lost"), "running"),
            (_FAILED, "failed: connection lost"),
        ),
        (
            Seen(9, _ended("cancelled", verdict_message="not-converging at the end"), "running"),
            (_FAILED, "cancelled: not-converging at the end"),
        ),
        # It goes on: for hours, if need be.
        (Seen(7199, _RUNNING, "running"), None),
        (Seen(7199, _RUNNING, "completed"), None),
        (Seen(7200, _RUNNING), (_GIVEN_UP, "not over after 2 h 00 min: converging")),
        # Trouble that lasts.
        (Seen(1000, _STUCK, "running", 599.9), None),
        (
            Seen(1000, _STUCK, "running", 600),
            (_GIVEN_UP, "not-converging: remaining memory no longer shrinks, for 10 min 00 s"),
        ),
        # What no agent has seen, Nova knows.
        (Seen(9, _ended("unknown"), "running"), None),
        (
            Seen(9, _ended("unknown"), "completed"),
            (_COMPLETED, "completed, by Nova's record"),
        ),
        (Seen(9, _STALE, "running"), None),
        (Seen(9, _STALE, "failed"), (_FAILED, "failed, by Nova's record; see nova-compute's log")),
        (Seen(9, None, "preparing"), None),
        (Seen(999, None, "preparing"), None),
        (Seen(9, None, "error"), (_FAILED, "error, by Nova's record; see nova-compute's log")),
        # Nothing begins.
        (Seen(119, None, None), None),
        (Seen(120, None, None), (_FAILED, "no migration began within 120 s; see Nova's logs")),
    ],
)
def test_decide(seen: Seen, outcome: tuple[Kind, str] | None) -> None:
    assert waiting.decide(seen, _PATIENCE) == (outcome and Outcome(*outcome))


@pytest.mark.parametrize("record", [None, _RUNNING, _STUCK])
def test_without_limits_it_waits_until_the_end(record) -> None:
    patience = Patience(start_seconds=0)
    assert waiting.decide(Seen(1e6, record, None, 1e6), patience) is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, False),
        (_RUNNING, False),
        (_STUCK, True),
        ({**_RUNNING, "verdict": "stalled"}, True),
        ({**_RUNNING, "verdict": "post-copy-paused"}, True),
        # Its agent is silent: what it said last may be long over.
        ({**_STUCK, "stale": True}, False),
        (_ended("failed"), False),
    ],
)
def test_only_a_fresh_bad_verdict_is_trouble(record, expected) -> None:
    assert waiting.is_in_trouble(record) is expected

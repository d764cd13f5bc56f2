# SPDX-License-Identifier: Apache-2.0
"""What the agent's record adds to what libvirt has shown of a migration."""

from lab.steering.course import Action, Course, Ending
from lab.steering.site import with_unseen


def course(*actions):
    return Course(
        ending=Ending.COMPLETED,
        total_seconds=20.0,
        downtime_seconds=0.8,
        first_iteration_seconds=3.0,
        actions=actions,
    )


def entry(second, state="done", **figures):
    return {"at": f"2026-09-01T12:00:{second}.500000Z", "state": state, "figures": figures}


def recorded(*advice):
    return {"started_at": "2026-09-01T12:00:00.000000Z", "advice": list(advice)}


def test_limit_that_was_in_force_for_a_moment_comes_from_the_record():
    record = recorded(entry(10, downtime_limit_seconds=1.0464))
    assert with_unseen(course(), record).actions == (Action(10.5, "downtime_ms", 1046),)


def test_limit_that_was_seen_is_counted_once():
    seen = Action(10.6, "downtime_ms", 1046)
    record = recorded(entry(10, downtime_limit_seconds=1.0464))
    assert with_unseen(course(seen), record).actions == (seen,)


def test_what_was_only_advised_or_sets_no_limit_is_no_action():
    record = recorded(entry(10, "advised", downtime_limit_seconds=1.0), entry(11, rest_seconds=4))
    assert with_unseen(course(), record).actions == ()


def test_record_without_advice_adds_nothing():
    assert with_unseen(course(), {"advice": None}).actions == ()

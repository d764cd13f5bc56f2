# SPDX-License-Identifier: Apache-2.0
"""What steering has decided stays with the record."""

import dataclasses

from migprog.core.advice_entry import MAX_ADVICE, AdviceEntry
from migprog.core.fields import MAX_COUNT, MAX_FIGURES
from migprog.core.operator_actions import MAX_ACTIONS, MAX_IDENTIFIER, OperatorAction
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, later, migration, report

ADVICE: AdviceEntry = {
    "at": START + 0.25,
    "works_by": START + 60,
    "action": "raise-downtime",
    "reason": "not-converging",
    "message": 'raise "it" 🐎',
    "figures": {"downtime_limit_seconds": 1.25, "level_starts": 3},
    "state": "advised",
}
ACTION: OperatorAction = {
    "after_seconds": 1.25,
    "action": "abort",
    "state": "done",
    "user_id": "0a1b2c",
    "project_id": "3d4e5f",
    "request_id": "req-7",
}
LARGEST: AdviceEntry = {
    "at": START + 0.123457,
    "works_by": START + 60.123457,
    **dict.fromkeys(("action", "reason", "state"), "🐎" * 32),  # type: ignore[typeddict-item]
    "message": "🐎" * 255,
    "figures": {chr(0x1F400 + n) * 32: -MAX_COUNT + n for n in range(MAX_FIGURES)},
}


class Advising:
    def test_advice_is_that_of_the_latest_report_and_stays_at_the_end(self, store):
        first = report(advice=None)
        done: AdviceEntry = {**ADVICE, "state": "done"}
        unseen = later(
            dataclasses.replace(first, advice=None), 6, Status.UNKNOWN, ended_at=START + 6
        )
        for entry, expected in (
            (first, None),
            (later(first, 2, advice=()), ()),
            (later(first, 4, advice=(done,)), (done,)),
            (later(first, 3, advice=(ADVICE,)), (done,)),
            (later(first, 5, advice=(done, ADVICE)), (done, ADVICE)),
            (unseen, (done, ADVICE)),
        ):
            stores.store(store, entry)
            assert migration(store, first).advice == expected

    def test_longest_advice_of_many_migrations_is_stored(self, store):
        """New rows and changed ones go to the database by different ways."""
        longest = (LARGEST,) * MAX_ADVICE
        new = [report(advice=longest) for _ in range(30)]
        stores.store(store, *new)
        changed: list[AdviceEntry] = [{**LARGEST, "at": START + 1}, *longest[1:]]
        stores.store(store, *(later(each, advice=tuple(changed)) for each in new))
        assert [migration(store, each).advice for each in new] == [tuple(changed)] * len(new)

    def test_operators_actions_are_those_of_the_latest_report_and_stay_at_the_end(self, store):
        first = report()
        stores.store(store, first)
        assert migration(store, first).actions is None
        longest: OperatorAction = {**ACTION, "user_id": "🐎" * MAX_IDENTIFIER}
        stores.store(store, later(first, 2, actions=(longest,) * MAX_ACTIONS))
        assert migration(store, first).actions == (longest,) * MAX_ACTIONS
        stores.store(store, later(first, 3, Status.UNKNOWN, phase=Phase.DONE, ended_at=START + 3))
        assert migration(store, first).actions == (longest,) * MAX_ACTIONS

    def test_final_report_has_the_last_advice(self, store):
        first = report(advice=(ADVICE,))
        stores.store(store, first)
        end = {"phase": Phase.DONE, "ended_at": START + 2}
        stores.store(store, later(first, 2, Status.CANCELLED, advice=(ADVICE, ADVICE), **end))
        stored = migration(store, first)
        assert (stored.status, stored.advice) == (Status.CANCELLED, (ADVICE, ADVICE))

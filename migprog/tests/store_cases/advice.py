# SPDX-License-Identifier: Apache-2.0
"""What steering has decided stays with the record."""

import dataclasses

from migprog.core.fields import MAX_ADVICE, MAX_COUNT, MAX_FIGURES, Advice
from migprog.core.status import Phase, Status
from migprog.tests import stores
from migprog.tests.stores import START, later, migration, report

ADVICE: Advice = {
    "at": START + 0.25,
    "works_by": START + 60,
    "action": "raise-downtime",
    "reason": "not-converging",
    "message": 'raise "it" 🐎',
    "figures": {"downtime_limit_seconds": 1.25, "level_starts": 3},
    "state": "advised",
}
LARGEST: Advice = {
    "at": START + 0.123457,
    "works_by": START + 60.123457,
    **dict.fromkeys(("action", "reason", "state"), "🐎" * 32),  # type: ignore[typeddict-item]
    "message": "🐎" * 255,
    "figures": {chr(0x1F400 + n) * 32: -MAX_COUNT + n for n in range(MAX_FIGURES)},
}


class Advising:
    def test_advice_is_that_of_the_latest_report_and_stays_at_the_end(self, store):
        first = report(advice=None)
        done: Advice = {**ADVICE, "state": "done"}
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
        changed: list[Advice] = [{**LARGEST, "at": START + 1}, *longest[1:]]
        stores.store(store, *(later(each, advice=tuple(changed)) for each in new))
        assert [migration(store, each).advice for each in new] == [tuple(changed)] * len(new)

    def test_final_report_has_the_last_advice(self, store):
        first = report(advice=(ADVICE,))
        stores.store(store, first)
        end = {"phase": Phase.DONE, "ended_at": START + 2}
        stores.store(store, later(first, 2, Status.CANCELLED, advice=(ADVICE, ADVICE), **end))
        stored = migration(store, first)
        assert (stored.status, stored.advice) == (Status.CANCELLED, (ADVICE, ADVICE))

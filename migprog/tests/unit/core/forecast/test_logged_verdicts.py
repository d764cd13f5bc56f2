# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from migprog.core.forecast.logged_verdicts import VerdictChange, VerdictChanges
from migprog.core.forecast.verdict import BAD, Verdict

GOOD, STUCK, SLOW = Verdict.CONVERGING, Verdict.STALLED, Verdict.NOT_CONVERGING


def lines(verdicts):
    """What is logged of (seconds, verdict), and the turns at the end."""
    turns, found = VerdictChanges(), []
    for now, verdict in verdicts:
        turns, turn = turns.after(verdict, now)
        if turn is not None:
            found.append((now, turn))
    return found, turns


def test_each_turn_is_logged_once():
    said = [(0, GOOD), (1, STUCK), (2, STUCK), (9, GOOD), (10, GOOD), (20, SLOW), (21, STUCK)]
    assert lines(said)[0] == [
        (1, VerdictChange.BAD),
        (9, VerdictChange.RECOVERED),
        (20, VerdictChange.BAD),
        (21, VerdictChange.BAD),
    ]


def test_one_that_flaps_is_logged_a_few_times_and_then_counted():
    flaps = [(second, STUCK if second % 2 else GOOD) for second in range(599)]
    found, turns = lines(flaps)
    assert len(found) == 4
    assert turns.unlogged == 594
    # As it stands after that is logged as soon as it may be, without another turn.
    _, turn = turns.after(STUCK, 700.0)
    assert turn is VerdictChange.BAD


@given(st.lists(st.tuples(st.floats(0, 60), st.sampled_from(Verdict)), max_size=60))
def test_log_is_bounded_and_ends_with_the_last_verdict(steps):
    now, said = 0.0, []
    for pause, verdict in steps:
        now += pause
        said.append((now, verdict))
    found, turns = lines(said)
    instants = [at for at, _ in found]
    assert all(b - a >= 600 for a, b in zip(instants, instants[4:], strict=False))
    last = said[-1][1] if said else GOOD
    _, turn = turns.after(last, now + 1000)
    settled = turns.logged is (last if last in BAD else None)
    assert settled is (turn is None)

# SPDX-License-Identifier: Apache-2.0
"""What ``wait-host`` says at its end."""

import pytest

from migprog.cli import host_wait, text
from migprog.cli.exit_status import Exit
from migprog.cli.state import Snapshot, State
from migprog.tests.unit.cli.records import HOSTILE, NOW, record


def state_of(*records: dict, outage: str | None = None) -> State:
    state = State()
    state.take(Snapshot(NOW, {each["id"]: each for each in records}))
    if outage is not None:
        state.fail(outage, NOW)
    return state


def stale(number: int, source: str, seconds: float) -> dict:
    at = text.instant(NOW - seconds)
    return record(number, stale=True, source_compute=source, last_reported_at=at)


@pytest.mark.parametrize(
    ("code", "state", "said"),
    [
        (Exit.COMPLETED, state_of(), "no migration touches host a"),
        (Exit.UNKNOWN, state_of(), "no migration of host a is known, but its agent is silent"),
        (Exit.TIMEOUT, state_of(record(1)), "timed out: 1 migration still touches host a"),
        (
            Exit.TIMEOUT,
            state_of(record(1), stale(2, "b", 120), stale(3, "a", 300)),
            "timed out: 3 migrations still touch host a; 2 of them stale: no report from a, b for "
            "5m00s",
        ),
        (
            Exit.TIMEOUT,
            state_of(*(stale(number, f"h{number}", 120) for number in range(7))),
            "timed out: 7 migrations still touch host a; 7 of them stale: no report from h0, h1, "
            "h2, h3, h4 and 2 more for 2m00s",
        ),
        (
            Exit.TIMEOUT,
            state_of(record(1), outage="HTTP 503"),
            "timed out: the API does not answer: HTTP 503",
        ),
        (
            Exit.TIMEOUT,
            state_of(),
            "timed out: the API does not say whether the agent of host a is silent",
        ),
    ],
)
def test_end_of_a_wait_says_why(code: Exit, state: State, said: str) -> None:
    assert host_wait.sentence(code, "a", state, NOW) == said


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_hosts_are_no_commands_to_a_terminal(name: str) -> None:
    state = state_of(stale(1, name, 120), outage=None)
    assert host_wait.sentence(Exit.TIMEOUT, name, state, NOW).isprintable()

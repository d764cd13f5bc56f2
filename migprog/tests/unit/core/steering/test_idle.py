# SPDX-License-Identifier: Apache-2.0
"""What is not decided within an iteration is what a decision would not have been either."""

import pytest

from lab.simulated import MIB, Guest, precopy
from migprog.core.monitor import Monitor
from migprog.core.server_facts import ServerFacts
from migprog.core.steering.advice import Advice, State
from migprog.core.steering.decide import decide, is_idle, noted
from migprog.core.steering.history import History
from migprog.core.steering.requirements import POLICIES
from migprog.core.steering.situation import Capabilities

STUCK = Guest(memory_mib=256, dirty_mib_s=60, working_set_mib=64, bandwidth_mib_s=30)
CALM = Guest(memory_mib=256, dirty_mib_s=8, working_set_mib=64, bandwidth_mib_s=30)


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("guest", [STUCK, CALM])
@pytest.mark.parametrize("others", ["do nothing", "raise the limit", "pause the guest"])
def test_idle_sample_would_only_be_noted(guest, policy, others):
    monitor = Monitor("migration", "server", found_at=0.0)
    monitor.learn(ServerFacts(memory_size_bytes=256 * MIB))
    history, idle, may = History(), [], Capabilities(bandwidth_cap_bytes_per_second=30 * MIB)
    for row in precopy(guest, give_up_seconds=200.0):
        at = row["t"]
        if row["kind"] != "sample":
            monitor.iteration_begins(at)
            continue
        if row["stats"]["type"] != 2:
            break
        limit_seconds = 9.0 if others == "raise the limit" and at > 150 else 0.3
        monitor.read(row["stats"], limit_seconds, at)
        monitor.turned(None, is_paused=others == "pause the guest" and at > 150)
        monitor.judge(at)
        now, glimpse = monitor.situation(at, may), monitor.glimpse(at, may)
        if now is None:
            assert glimpse is None
            continue
        after, found = decide(POLICIES[policy], now, history)
        idle.append(is_idle(glimpse, history))
        if idle[-1]:
            assert not isinstance(found, Advice)
            assert after == noted(history, glimpse)
        history = after
    # A sample within an iteration is, the first one of an iteration is not.
    assert True in idle and False in idle
    # A raised limit, and a pause, follow an advice to raise the limit.
    raises = any(each.sets_downtime_limit_seconds for each in history.advice)
    follows = any(each.state is State.FOLLOWED for each in history.advice)
    assert follows == (raises and others != "do nothing")

# SPDX-License-Identifier: Apache-2.0
"""Real migrations, steered by real agents: what each policy does, and what others do to it."""

import contextlib
import dataclasses
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import libvirt
import pytest

from lab.parts import processes
from lab.steering import guests
from lab.steering.course import Ending
from lab.steering.nova_schedule import NovaSchedule
from lab.steering.policies import GENTLE, POST_COPY, Policy
from lab.steering.site import Site
from migprog.core.steering.nova_schedule import NovaOptions

pytestmark = [
    pytest.mark.functional,
    pytest.mark.timeout(1800),
]
# The shortest that an agent can find out within.
QUICK = {"patience_seconds": 2}
BOUND_SECONDS = 60.0


@contextlib.contextmanager
def benches(directory, *policies):
    """A bench of each policy."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Site(policy, directory)) for policy in policies]


def did(advice):
    """Each entry's action and state."""
    return [(each["action"], each["state"]) for each in advice]


def test_agent_raises_the_downtime_limit_only_if_it_may(
    tmp_path, steering_may_act, libvirt_changes
):
    """``enforce`` completes what would not have ended; ``advise`` touches nothing, and says so."""
    enforcing = dataclasses.replace(GENTLE, requirements=QUICK)
    advising = dataclasses.replace(enforcing, mode="advise", label="advising")
    with benches(tmp_path, enforcing, advising) as both, ThreadPoolExecutor() as pool:
        runs = [pool.submit(each.run, guests.NEEDS_DOWNTIME, 18.0) for each in both]
        (course, record), (untouched, advised) = (run.result() for run in runs)
    assert course.ending is Ending.COMPLETED
    assert [each["call"] for each in libvirt_changes()] == ["virDomainMigrateSetMaxDowntime"]
    assert did(record["advice"]) == [("raise-downtime", "done")]
    assert untouched.ending is Ending.BOUND
    assert untouched.actions == ()
    assert did(advised["advice"]) == [("raise-downtime", "advised")]


@pytest.mark.long
def test_hopeless_migration_is_given_up_or_completed_by_post_copy(tmp_path, steering_may_act):
    with benches(tmp_path, GENTLE, POST_COPY) as both, ThreadPoolExecutor() as pool:
        runs = [pool.submit(each.run, guests.HOPELESS, BOUND_SECONDS) for each in both]
        (given_up, record), (completed, _) = (run.result() for run in runs)
    assert given_up.ending is Ending.ABORTED
    assert ("abort", "done") in did(record["advice"])
    assert record["status"] == "cancelled"
    assert completed.ending is Ending.COMPLETED
    assert "post-copy" in [action.word for action in completed.actions]


@pytest.mark.long
def test_migration_completes_beside_novas_steps(tmp_path, steering_may_act):
    schedule = NovaSchedule(delay_scale=2 / 150)
    with benches(tmp_path, dataclasses.replace(GENTLE, requirements=QUICK)) as (bench,):
        course, record = bench.run(guests.NEEDS_DOWNTIME, BOUND_SECONDS, schedule)
    assert course.ending is Ending.COMPLETED
    assert ("raise-downtime", "done") in did(record["advice"])


@pytest.mark.long
def test_limit_that_another_lowers_is_asserted_and_then_left(tmp_path, steering_may_act):
    """A limit that may not be high enough, so that Nova's steps have time to lower it."""
    requirements = {**QUICK, "longest_downtime_seconds": 0.6}
    policy = Policy(name="gentle", requirements=requirements)
    # Its steps end at 500 ms after 40 s, each below what the agent sets.
    schedule = NovaSchedule(NovaOptions(downtime_steps=20), delay_scale=2 / 150)
    with benches(tmp_path, policy) as (bench,):
        course, record = bench.run(guests.NEEDS_DOWNTIME, BOUND_SECONDS, schedule)
    lowered = [each for each in record["advice"] if each["reason"] == "limit-lowered"]
    assert 1 <= len(lowered) <= 3
    limits = [action.value for action in course.actions if action.word == "downtime_ms"]
    assert limits.count(600) == 1 + len(lowered)
    assert "stop-asserting" in [each["action"] for each in record["advice"]]


# A server that steering pauses.


class Watched(threading.Thread):
    """What becomes of the server of a bench's first run: its states at its source and at its
    destination, each once in a row."""

    def __init__(self, bench):
        super().__init__(daemon=True)
        self._bench = bench
        self.at_source = []
        self.at_destination = []
        self.when_paused = lambda: None
        self.over = threading.Event()

    def run(self):
        source, destination = (host.connect_read_only() for host in self._bench.lab.hosts)
        with contextlib.closing(source), contextlib.closing(destination):
            while not self.over.wait(0.02):
                for connection, states in (
                    (source, self.at_source),
                    (destination, self.at_destination),
                ):
                    with contextlib.suppress(libvirt.libvirtError):
                        self._look(connection.lookupByName("guest-1").state(), states)

    def _look(self, state, states):
        if states[-1:] == [state]:
            return
        states.append(state)
        if states is self.at_source and state == PAUSED:
            self.when_paused()


PAUSED = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION]


@pytest.mark.long
def test_server_that_is_paused_for_its_migration_runs_at_its_destination(
    tmp_path, steering_may_act
):
    policy = Policy(name="finish-by-deadline", requirements={**QUICK, "may": "pause"})
    with benches(tmp_path, policy) as (bench,):
        watched = Watched(bench)
        watched.start()
        course, record = bench.run(guests.HOPELESS, BOUND_SECONDS)
        watched.over.set()
        watched.join()
    assert course.ending is Ending.COMPLETED
    assert did(record["advice"]) == [("pause", "done")]
    assert PAUSED in watched.at_source
    assert libvirt.VIR_DOMAIN_RUNNING in [state for state, _ in watched.at_destination]


@pytest.mark.long
def test_server_whose_pause_lasts_too_long_runs_at_its_source_again(tmp_path, steering_may_act):
    """The connection becomes slow once it is paused."""
    requirements = {**QUICK, "may": "pause+abort", "longest_pause_seconds": 2}
    policy = Policy(name="finish-by-deadline", requirements=requirements)
    with benches(tmp_path, policy) as (bench,):
        watched = Watched(bench)
        watched.when_paused = lambda: setattr(bench.link, "bytes_per_second", 60_000.0)
        watched.start()
        course, record = bench.run(guests.NEEDS_DOWNTIME, BOUND_SECONDS)
        watched.over.set()
        watched.join()
    assert course.ending is Ending.ABORTED
    assert record["status"] == "cancelled"
    assert did(record["advice"]) == [("pause", "done"), ("abort", "done")]
    paused_at = watched.at_source.index(PAUSED)
    assert [state[0] for state in watched.at_source[paused_at:]][:2] == [
        libvirt.VIR_DOMAIN_PAUSED,
        libvirt.VIR_DOMAIN_RUNNING,
    ]


@pytest.mark.long
def test_steering_check_finds_nothing_wrong(
    tmp_path, of_the_day, record_property, steering_may_act
):
    """In its shortest form; a seed of the day."""
    seed = of_the_day.randrange(10**6)
    asked = [f"--seed={seed}", "--count=3"]
    record_property("steering-check", asked)
    out = tmp_path / "check.json"
    command = [sys.executable, "-m", "lab.steering", *asked, f"--json={out}"]
    with processes.running(command, tmp_path) as check:
        assert check.process.wait(timeout=1700) == 0, check.output()
    known = json.loads(out.read_text())
    assert (known["guests"], known["runs"]) == (3, 12)
    assert known["needless_actions"] == known["wrong_aborts"] == known["hopeless_left"] == 0


@pytest.mark.long
@pytest.mark.parametrize("proof", ["--kubevirt=3", "--converging=4"])
def test_steering_check_of_a_known_course(proof, tmp_path, steering_may_act):
    command = [sys.executable, "-m", "lab.steering", "--seed=1", proof]
    with processes.running(command, tmp_path) as check:
        assert check.process.wait(timeout=1700) == 0, check.output()

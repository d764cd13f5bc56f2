# SPDX-License-Identifier: Apache-2.0
"""What is reported in the end, whenever an agent is killed and in whatever order answers come."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migprog.compute.state.journal import Journal
from migprog.core import checkpoint
from migprog.core.checkpoint import Checkpoint
from migprog.core.messages import Ack
from migprog.core.status import ENDED, Status
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.unit.compute.state.test_journal import ARRIVAL, Disk, tell, waiting
from migprog.tests.unit.core.test_checkpoint import told


class Life:
    """An agent that may be killed at any instant, a disk, and a conductor that remembers."""

    def __init__(self):
        self.disk = Disk()
        self.heard = []
        self.now = 0.0
        self.begin({})

    def begin(self, entries):
        """A new process, which knows what the disk had, and what libvirt shows."""
        self.disk = Disk(self.disk.files)
        self.ledger = Journal(self.disk, "here", "boot")
        kept = self.ledger.load(entries, self.now, 5000.0 + self.now)
        self.kept = kept[0] if kept else None
        self.sequence = self.kept.sequence if self.kept else 0
        self.told_end = any(not isinstance(entry, Checkpoint) for entry in entries.values())

    def report(self, status=Status.RUNNING):
        if not self.told_end and (self.kept or not self.heard or self.sequence):
            self.sequence += 1
            tell(self.ledger, told(self.sequence, status=status), self.now, needs_ack=True)

    def end(self):
        self.report(Status.COMPLETED)
        self.told_end = True

    def disk_works(self):
        self.ledger.take(self.disk.work(), self.now)

    def send(self, acknowledged):
        load = self.ledger.outbox.load(self.now)
        self.heard += [(report.sequence, report.status) for report in load.reports]
        if acknowledged:
            self.ledger.outbox.sent(load, Ack(), self.now)

    def crash(self):
        self.begin(self.disk.entries())

    def settle(self):
        """What an agent does with a migration that is not there any more."""
        if self.kept and not self.told_end:
            self.ledger.lost(self.kept, checkpoint.LEFT_GONE, self.now, 5000.0 + self.now)
            self.told_end = True


STEPS = st.sampled_from(["report", "disk", "send", "send, no answer", "crash", "time"])


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40), st.lists(STEPS, max_size=10))
def test_agent_killed_at_any_instant_continues_one_record_to_its_end(before, after):
    with pytest.MonkeyPatch.context() as patch:
        # So that blocks are used up.
        patch.setattr(checkpoint, "_BLOCK", 2)
        _live(before, after)


def _live(before, after):
    life = Life()
    steps = {
        "report": life.report,
        "disk": life.disk_works,
        "send": lambda: life.send(True),
        "send, no answer": lambda: life.send(False),
        "crash": life.crash,
    }

    def run(names):
        for name in names:
            if name == "time":
                life.now += 61
            else:
                steps[name]()

    life.report()
    run(before)
    running = list(life.heard)
    life.end()
    # A process that ends knows of its end only what the disk has.
    run([step for step in after if step != "report"])
    life.settle()
    run(["disk", "send", "disk"])

    # Later figures under an older number would be taken for late ones: each number tells one thing.
    assert len(set(life.heard)) == len(dict(life.heard))
    told_once = [s for i, s in enumerate(life.heard) if s not in life.heard[:i]]
    assert told_once == sorted(told_once), "a later report has a greater number"
    if running:
        assert any(status in ENDED for _, status in life.heard)
        assert life.heard[-1][1] in ENDED or life.disk.files == {}
    assert life.disk.files == {} or not life.heard


class Arriving:
    """A server that comes here again and again, and conductors whose answers come in any order."""

    def __init__(self):
        self.disk = Disk()
        self.ledger = Journal(self.disk, "here", "boot")
        self.now = 0.0
        self.newest = None
        self.loads = []
        # What a conductor has answered to a message that carried the newest.
        self.is_taken = False

    def arrives(self):
        self.newest = dataclasses.replace(ARRIVAL, at=1000.0 + self.now)
        self.is_taken = False
        self.ledger.report_arrival(self.newest, self.now)

    def disk_works(self):
        self.ledger.take(self.disk.work(), self.now)

    def send(self):
        load = self.ledger.outbox.load(self.now)
        if load:
            self.loads.append(load)

    def is_told(self):
        self.arrives()
        self.disk_works()
        self.send()

    def answer(self, load, arrived):
        """Whether the newest arrival was in a message is known by when it came."""
        self.ledger.outbox.sent(load, Ack(arrived=(SERVER,) if arrived else ()), self.now)
        carried = self.newest is not None and any(a.at == self.newest.at for a in load.arrivals)
        self.is_taken |= arrived and carried


ANSWERS = st.tuples(st.integers(0, 2), st.booleans())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["arrive", "disk", "send", "told", "time"]) | ANSWERS, max_size=20))
def test_only_an_answer_to_the_newest_arrival_removes_it_whatever_the_order_of_answers(steps):
    """Late ones, those that come twice, and those of two conductors to what was sent twice."""
    course = Arriving()
    acts = {
        "arrive": course.arrives,
        "disk": course.disk_works,
        "send": course.send,
        "told": course.is_told,
    }
    for step in steps:
        course.now += 31.0 if step == "time" else 0.001
        if isinstance(step, tuple):
            if course.loads:
                course.answer(course.loads[-1 - step[0] % len(course.loads)], step[1])
        elif step in acts:
            acts[step]()
        if course.now > 500.0:
            # Nobody waits longer for a source that tells nothing.
            return
    course.disk_works()
    kept = [entry.at for entry in course.disk.entries().values()]
    course.now += 31.0
    assert [arrival.at for arrival in waiting(course.ledger, course.now)] == kept
    if course.newest is not None:
        assert kept == [course.newest.at] or course.is_taken
        course.answer(course.ledger.outbox.load(course.now), arrived=True)
        course.disk_works()
    assert course.disk.files == {}

# SPDX-License-Identifier: Apache-2.0
"""Which reading wakes the loop, and how an iteration's event counts on one."""

import libvirt
import pytest

from lab import fake_libvirt
from migprog.compute.libvirt import host
from migprog.compute.libvirt.callbacks import Callbacks
from migprog.compute.libvirt.domain_reader import Reader
from migprog.compute.libvirt.gathering import LONGEST_SECONDS, Gathering
from migprog.concurrency import Inbox
from migprog.core.observation import Iteration, Reading
from migprog.tests import inboxes

SERVER = "11111111-1111-4111-8111-111111111111"
FOUND_AT = 100.0


class Seen:
    """An inbox that records what would be in it, and when its reader would be woken."""

    def __init__(self):
        self.items = []
        self.wakes_after = []

    def put(self, item, wakes=True):
        self.items.append(item)
        if wakes:
            self.wake()

    def wake(self):
        self.wakes_after.append(len(self.items))


def read(server_uuid):
    return Reading(server_uuid=server_uuid, at=FOUND_AT)


@pytest.fixture
def inbox():
    return Seen()


def test_last_awaited_reading_wakes(inbox):
    gathering = Gathering(inbox)
    for server_uuid in "abc":
        gathering.wait_for(server_uuid, FOUND_AT)
    for server_uuid in "bca":
        gathering.put(read(server_uuid))
    assert inbox.wakes_after == [3]
    assert gathering.late_at is None


def test_reading_that_was_not_requested_wakes_at_once(inbox):
    Gathering(inbox).put(read("a"))
    assert inbox.wakes_after == [1]


def test_late_reading_is_not_waited_for(inbox):
    gathering = Gathering(inbox)
    gathering.wait_for("slow", FOUND_AT)
    gathering.wait_for("a", FOUND_AT)
    gathering.put(read("a"))
    assert (inbox.wakes_after, gathering.late_at) == ([], FOUND_AT + LONGEST_SECONDS)
    gathering.give_up_late(FOUND_AT + LONGEST_SECONDS)
    # What came while the loop was looking is taken, too.
    assert (inbox.wakes_after, gathering.late_at) == ([1], None)
    gathering.put(read("slow"))
    assert inbox.wakes_after == [1, 2]


def test_giving_up_before_the_time_is_up_changes_nothing(inbox):
    gathering = Gathering(inbox)
    gathering.wait_for("a", FOUND_AT)
    gathering.give_up_late(FOUND_AT + LONGEST_SECONDS / 2)
    assert gathering.late_at == FOUND_AT + LONGEST_SECONDS
    assert inbox.wakes_after == []


@pytest.mark.parametrize("is_watched", [True, False])
def test_iteration_wakes_by_itself_only_where_no_reading_follows(inbox, is_watched):
    asked = []

    def read_next(server_uuid):
        asked.append(server_uuid)
        return is_watched

    callbacks = Callbacks(inbox, Reader(), lambda _server: None, read_next)
    callbacks._on_iteration(None, fake_libvirt.Domain(SERVER), 2, None)
    assert asked == [SERVER]
    assert isinstance(inbox.items[0], Iteration)
    assert inbox.wakes_after == ([] if is_watched else [1])


def test_watched_server_is_read_as_its_iteration_begins(monkeypatch):
    monkeypatch.setattr(libvirt, "openReadOnly", fake_libvirt.open)
    inbox = Inbox()
    here = host.Host("qemu:///system", inbox, 5.0, qemu_events=False)
    sampler = here.sampler(SERVER)
    here._callbacks._on_iteration(None, fake_libvirt.Domain(SERVER), 2, None)
    # It is the reading that wakes; the event is before it.
    assert [type(each) for each in inboxes.take(inbox)] == [Iteration, Reading]
    sampler.stop()
    while here._sampled():
        inbox.get_all(30.0)
    here._callbacks._on_iteration(None, fake_libvirt.Domain(SERVER), 3, None)
    assert [type(each) for each in inboxes.take(inbox)] == [Iteration]


def test_newer_sampler_is_asked_whatever_the_older_one_of_its_server_does(monkeypatch):
    monkeypatch.setattr(libvirt, "openReadOnly", fake_libvirt.open)
    inbox = Inbox()
    here = host.Host("qemu:///system", inbox, 5.0, qemu_events=False)
    older = here.sampler(SERVER)
    older.stop()
    newer = here.sampler(SERVER)
    assert here._read_next(SERVER)
    while older in here._samplers:
        inbox.get_all(30.0)
    assert here._sampled() == {SERVER}
    newer.stop()

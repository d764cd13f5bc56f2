# SPDX-License-Identifier: Apache-2.0
"""The thread that writes: a real one, on a real folder."""

import contextlib
import os
import time

import pytest

from migprog.compute.state import directory as state_directory
from migprog.compute.state.directory import StateDirectory
from migprog.compute.state.entries import encode
from migprog.compute.state.writer import Awaited, FreeSpace, Loaded, StateWriter, Written
from migprog.concurrency import Inbox
from migprog.tests.unit.core.test_checkpoint import KEPT

SECONDS = 60.0
NAME = KEPT.uuid


class Broken(StateDirectory):
    """A folder on a disk that fails as long as the test wants."""

    error = None

    def _fail(self):
        if self.error is not None:
            raise OSError(self.error)

    def open(self):
        self._fail()
        return super().open()

    def probe(self):
        self._fail()
        super().probe()

    def write(self, name, data):
        self._fail()
        super().write(name, data)


class Mail(Inbox):
    """An inbox, and what came out of it and was not looked at yet."""

    def __init__(self):
        super().__init__()
        self.seen: list[Loaded | Written] = []


@pytest.fixture
def inbox():
    inbox = Mail()
    yield inbox
    inbox.close()


@pytest.fixture
def directory(tmp_path):
    directory = Broken(str(tmp_path), "test:///")
    yield directory
    with contextlib.suppress(TypeError):
        os.close(directory._descriptor)


@pytest.fixture
def keeper(directory, inbox):
    keeper = StateWriter(directory, inbox, retry_seconds=0.05)
    yield keeper
    keeper.stop()


def wait_for(inbox, condition):
    """The first message that is as it should be; those before, and of free space, are dropped."""
    give_up_at = time.monotonic() + SECONDS
    while time.monotonic() < give_up_at:
        inbox.seen += inbox.get_all(0 if inbox.seen else give_up_at - time.monotonic())
        while inbox.seen:
            message = inbox.seen.pop(0)
            if not isinstance(message, FreeSpace) and condition(message):
                return message
    raise AssertionError("waited in vain")


def test_writer_confirms_a_file_once_it_is_on_disk(keeper, directory, inbox):
    keeper.start()
    assert wait_for(inbox, lambda m: True) == Loaded(state_directory.Contents({}), None)
    keeper.put(NAME, encode(KEPT), 7)
    assert wait_for(inbox, lambda m: True) == Written({NAME: 7}, None)
    assert (directory.path / f"{NAME}.json").read_bytes() == encode(KEPT)
    keeper.put(NAME, None, 8)
    assert wait_for(inbox, lambda m: True) == Written({NAME: 8}, None)
    assert list(directory.path.iterdir()) == []


def test_writer_confirms_files_in_groups(keeper, directory, inbox):
    for number in range(40):
        keeper.put(f"{number}", encode(KEPT), number)
    keeper.start()
    wait_for(inbox, lambda m: isinstance(m, Loaded))
    done: dict[str, int] = {}
    sizes = []
    while len(done) < 40:
        tickets = wait_for(inbox, lambda m: m.tickets).tickets
        done |= tickets
        sizes.append(len(tickets))
    assert done == {f"{number}": number for number in range(40)}
    assert sizes == [16, 16, 8]


def test_writer_finishes_its_queue_before_it_stops(keeper, directory, inbox):
    keeper.start()
    keeper.put(NAME, encode(KEPT), 1)
    keeper.stop()
    assert (directory.path / f"{NAME}.json").exists()


def test_failed_write_is_repeated_with_what_is_still_needed(keeper, directory, inbox):
    keeper.start()
    wait_for(inbox, lambda m: isinstance(m, Loaded))
    directory.error = "it is full"
    keeper.put(NAME, encode(KEPT), 1)
    keeper.put("other", encode(KEPT), 2)
    failed = wait_for(inbox, lambda m: "other" in m.tickets)
    assert failed.error == "it is full"
    keeper.put("other", None, 3)
    wait_for(inbox, lambda m: m.tickets.get("other") == 3)
    directory.error = None
    assert wait_for(inbox, lambda m: m.error is None).tickets == {NAME: 1}
    assert [path.stem for path in directory.path.iterdir()] == [NAME]


def test_removed_file_does_not_mark_a_full_disk_as_working(keeper, directory, inbox):
    keeper.start()
    wait_for(inbox, lambda m: isinstance(m, Loaded))
    keeper.put("old", encode(KEPT), 1)
    wait_for(inbox, lambda m: m.tickets.get("old") == 1)
    directory.error = "it is full"
    keeper.put(NAME, encode(KEPT), 2)
    wait_for(inbox, lambda m: m.tickets.get(NAME) == 2)
    # Nothing is wanted any more of what was refused.
    keeper.put(NAME, None, 3)
    assert wait_for(inbox, lambda m: m.tickets.get(NAME) == 3).error == "it is full"
    keeper.put("old", None, 4)
    assert wait_for(inbox, lambda m: m.tickets.get("old") == 4).error == "it is full"
    directory.error = None
    assert wait_for(inbox, lambda m: m.error is None)


def test_a_folder_that_another_agent_has_is_opened_when_that_one_ends(tmp_path, inbox):
    before = StateDirectory(str(tmp_path), "test:///")
    before.open()
    keeper = StateWriter(StateDirectory(str(tmp_path), "test:///"), inbox)
    keeper.start()
    assert "locked by process" in wait_for(inbox, lambda m: isinstance(m, Awaited)).why
    os.close(before._descriptor)
    assert wait_for(inbox, lambda m: isinstance(m, Loaded)).error is None
    keeper.stop()


def test_state_directory_of_another_agent_is_in_use(tmp_path, inbox):
    before = StateDirectory(str(tmp_path), "test:///")
    before.open()
    keeper = StateWriter(StateDirectory(str(tmp_path), "test:///"), inbox, taken_seconds=0.0)
    keeper.start()
    loaded = wait_for(inbox, lambda m: isinstance(m, Loaded))
    assert loaded.taken and str(before.path) in loaded.error
    keeper.stop()
    os.close(before._descriptor)


def test_a_folder_that_cannot_be_opened_is_opened_later(keeper, directory, inbox):
    directory.error = "it is not there"
    keeper.start()
    assert wait_for(inbox, lambda m: True) == Loaded(None, "it is not there")
    keeper.put(NAME, encode(KEPT), 1)
    assert wait_for(inbox, lambda m: m.tickets).error == "it is not there"
    directory.error = None
    assert wait_for(inbox, lambda m: isinstance(m, Loaded) and m.error is None).contents
    assert wait_for(inbox, lambda m: m.tickets).tickets == {NAME: 1}


def test_a_folder_that_is_read_only_is_read(keeper, directory, inbox):
    directory.open()
    directory.write(NAME, encode(KEPT))
    os.close(directory._descriptor)
    directory.probe = lambda: (_ for _ in ()).throw(OSError("read-only"))
    keeper.start()
    loaded = wait_for(inbox, lambda m: isinstance(m, Loaded))
    assert loaded.error == "read-only"
    assert list(loaded.contents.entries.values()) == [KEPT]
    del directory.probe
    assert wait_for(inbox, lambda m: isinstance(m, Written)).error is None


def test_free_space_is_measured_again_and_again_while_nothing_is_written(directory, inbox):
    spaces = iter((300, 200, 100))
    directory.free_bytes = lambda: next(spaces, 0)
    writer = StateWriter(directory, inbox, measure_seconds=0.01)
    writer.start()
    measured, give_up_at = [], time.monotonic() + SECONDS
    while 100 not in measured and time.monotonic() < give_up_at:
        messages = inbox.get_all(1.0)
        measured += [each.free_bytes for each in messages if isinstance(each, FreeSpace)]
        assert not any(isinstance(each, Written) for each in messages)
    writer.stop()
    assert measured[:3] == [300, 200, 100]


def test_free_space_is_what_the_file_system_has(directory):
    directory.open()
    status = os.statvfs(directory.path)
    assert directory.free_bytes() == pytest.approx(status.f_bavail * status.f_frsize, rel=0.1)


def test_free_space_that_cannot_be_measured_is_not_reported(directory, inbox):
    def fails():
        raise OSError("stale handle")

    directory.free_bytes = fails
    writer = StateWriter(directory, inbox)
    writer.start()
    writer.put(NAME, encode(KEPT), 7)
    wait_for(inbox, lambda m: getattr(m, "tickets", None) == {NAME: 7})
    writer.stop()
    assert not any(isinstance(each, FreeSpace) for each in inbox.seen)

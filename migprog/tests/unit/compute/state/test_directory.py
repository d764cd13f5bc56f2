# SPDX-License-Identifier: Apache-2.0
import dataclasses
import errno
import json
import os
import pathlib
import re
import shutil

import pytest

from migprog.compute.state import directory as state_directory
from migprog.compute.state.directory import StateDirectory
from migprog.compute.state.entries import decode, encode, name_of
from migprog.core.messages import Arrival, ArrivalState
from migprog.core.status import Phase, Status
from migprog.tests.fixtures.driven import SERVER
from migprog.tests.unit.core.test_checkpoint import KEPT
from migprog.tests.unit.core.test_messages import REPORT

END = dataclasses.replace(
    REPORT,
    uuid="9a1d6e0c-58f5-4f0e-8a41-0d3b6c1e7f55",
    status=Status.COMPLETED,
    phase=Phase.DONE,
    ended_at=9.0,
)
ARRIVAL = Arrival(
    server_uuid=SERVER, state=ArrivalState.RESUMED, at=3.0, complete=True, total_seconds=1.5
)
URI = "qemu+unix:///system?socket=/run/a/libvirt-sock"
# Seen from a folder in the state directory.
OUTSIDE = pathlib.Path("../outside")
URI_FOLDER = "agent-qemu-unix-system-socket-run-a-libvirt-sock-[0-9a-f]+"


@pytest.fixture
def opened(tmp_path):
    """Opens the folder as a new process would: the one before has let go of it."""
    held: list[StateDirectory] = []

    def reopen():
        for each in held:
            os.close(each._descriptor)
        held.clear()
        directory = StateDirectory(str(tmp_path), URI)
        contents = directory.open()
        held.append(directory)
        return directory, contents

    yield reopen
    for each in held:
        os.close(each._descriptor)


def write(directory, *entries):
    for entry in entries:
        directory.write(name_of(entry), encode(entry))
    directory.sync()


@pytest.mark.parametrize("entry", [KEPT, END, ARRIVAL])
def test_written_files_are_read_back(opened, entry):
    directory, contents = opened()
    assert contents.entries == {}
    write(directory, entry)
    _, contents = opened()
    assert contents.entries == {name_of(entry): entry}
    assert contents.remarks == ()


def test_end_replaces_the_checkpoint_and_is_removed(opened):
    directory, _ = opened()
    end = dataclasses.replace(END, uuid=KEPT.uuid)
    write(directory, KEPT, end)
    directory, contents = opened()
    assert list(contents.entries.values()) == [end]
    directory.remove(end.uuid)
    directory.remove(end.uuid)
    assert opened()[1].entries == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"watched": 7}',
        b'{"watched": {"fields": [], "rows": []}}',
        b'{"ended": {"fields": ["uuid"], "rows": [["no uuid"]]}}',
        b"[" * 100_000,
        b" " * (state_directory.MAX_BYTES + 1),
        encode(END),
    ],
)
def test_unreadable_file_is_set_aside_and_others_are_read(opened, data):
    directory, _ = opened()
    write(directory, KEPT)
    broken = directory.path / f"{SERVER}.json"
    broken.write_bytes(data)
    directory, contents = opened()
    assert list(contents.entries.values()) == [KEPT]
    (remark,) = contents.remarks
    assert str(broken) in remark
    assert broken.with_suffix(".bad").read_bytes() == data
    assert opened()[1].remarks == ()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(OUTSIDE)])
def test_special_file_is_set_aside_unread(opened, make):
    directory, _ = opened()
    write(directory, KEPT)
    make(directory.path / f"{END.uuid}.json")
    _, contents = opened()
    assert list(contents.entries.values()) == [KEPT]
    assert [END.uuid in remark for remark in contents.remarks] == [True]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(OUTSIDE)])
def test_special_file_in_place_of_a_new_file_is_replaced_unopened(opened, make, tmp_path):
    directory, _ = opened()
    outside = tmp_path / OUTSIDE.name
    outside.write_text("not ours")
    make(directory.path / f"{KEPT.uuid}.new")
    write(directory, KEPT)
    assert outside.read_text() == "not ours"
    assert list(opened()[1].entries.values()) == [KEPT]


def _folder(path):
    path.mkdir()
    (path / "somebody's").write_text("work")


@pytest.mark.parametrize(
    "name", [f"{KEPT.uuid}.new", f"{KEPT.uuid}.json", "probe.new", "probe.json"]
)
@pytest.mark.parametrize("is_running", [False, True])
def test_directory_in_place_of_a_file_is_set_aside_with_its_content(opened, name, is_running):
    directory, _ = opened()
    _folder(directory.path / name)
    if not is_running:
        directory, _ = opened()
    directory.probe()
    write(directory, KEPT)
    assert list(opened()[1].entries.values()) == [KEPT]
    (aside,) = (path for path in directory.path.iterdir() if path.suffix == ".bad")
    assert (aside / "somebody's").read_text() == "work"
    directory.remove(KEPT.uuid)
    assert opened()[1].entries == {}


def test_directory_in_place_of_an_unneeded_entry_is_set_aside(opened):
    directory, _ = opened()
    _folder(directory.path / f"{KEPT.uuid}.json")
    directory.remove(KEPT.uuid)
    assert opened()[1].entries == {}


def test_file_that_cannot_be_removed_does_not_block_others(opened):
    directory, _ = opened()
    _folder(directory.path / "000.bad")
    (directory.path / "001.bad").symlink_to("nowhere")
    for name in ("000.bad", "001.bad"):
        # Older than the others, also where the file system's clock has ticks.
        os.utime(directory.path / name, (0, 0), follow_symlinks=False)
    for number in range(100):
        (directory.path / f"{number}.json").write_bytes(b"")
    opened()
    assert len(list(directory.path.iterdir())) == 101


def test_a_probe_writes_as_much_as_the_largest_entry(opened, monkeypatch):
    directory, _ = opened()
    written = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: written.append(os.fstat(descriptor)))
    directory.probe()
    assert max(status.st_size for status in written) == state_directory.MAX_BYTES
    assert list(directory.path.iterdir()) == []


def test_number_of_files_set_aside_is_limited(opened):
    directory, _ = opened()
    for number in range(150):
        (directory.path / f"{number}.json").write_bytes(b"")
    _, contents = opened()
    assert len(contents.remarks) == 150
    assert len(list(directory.path.iterdir())) == 100


def test_partial_file_is_removed(opened):
    directory, _ = opened()
    (directory.path / f"{KEPT.uuid}.new").write_bytes(encode(KEPT)[:20])
    _, contents = opened()
    assert (contents.entries, contents.remarks) == ({}, ())
    assert list(directory.path.iterdir()) == []


def test_size_of_the_directory_is_limited(opened, monkeypatch):
    monkeypatch.setattr(state_directory, "MAX_FILES", 2)
    directory, _ = opened()
    write(directory, KEPT, ARRIVAL)
    with pytest.raises(OSError, match="2 files"):
        write(directory, END)
    write(directory, KEPT)
    directory.remove(name_of(ARRIVAL))
    write(directory, END)
    with pytest.raises(OSError, match="more than"):
        directory.write(KEPT.uuid, b" " * (state_directory.MAX_BYTES + 1))


def test_two_agents_do_not_have_the_same_folder(opened, tmp_path):
    directory, _ = opened()
    with pytest.raises(
        state_directory.TakenError, match=f"{URI_FOLDER} is locked by process {os.getpid()}"
    ):
        StateDirectory(str(tmp_path), URI).open()
    other = StateDirectory(str(tmp_path), URI + "2")
    other.open()
    os.close(other._descriptor)
    assert other.path != directory.path


def test_removed_state_directory_is_created_again(opened, tmp_path):
    directory, _ = opened()
    write(directory, KEPT)
    shutil.rmtree(tmp_path)
    write(directory, END)
    with pytest.raises(state_directory.TakenError):
        StateDirectory(str(tmp_path), URI).open()
    assert opened()[1].entries == {END.uuid: END}


def test_failed_write_leaves_the_old_file(opened, monkeypatch):
    directory, _ = opened()
    write(directory, KEPT)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write(directory, dataclasses.replace(KEPT, sequence=KEPT.sequence + 1))
    monkeypatch.undo()
    assert sorted(path.suffix for path in directory.path.iterdir()) == [".json"]
    assert list(opened()[1].entries.values()) == [KEPT]


@pytest.mark.parametrize("odd", [-12, 2**64 - 12, float("nan"), "many"])
def test_an_end_with_an_odd_figure_is_kept_and_read_without_it(opened, odd):
    """Written by this version, and by one before, which wrote whatever libvirt reported."""
    end = dataclasses.replace(END, memory_processed_bytes=odd, percent=100)
    known = dataclasses.replace(end, memory_processed_bytes=None)
    assert decode(encode(end)) == known
    told = {name: value for name, value in dataclasses.asdict(end).items() if value is not None}
    before = {"fields": list(told), "rows": [list(told.values())]}
    directory, _ = opened()
    directory.write(name_of(end), json.dumps({"ended": before}).encode())
    directory.sync()
    assert opened()[1] == state_directory.Contents({end.uuid: known})


def test_agent_key_is_kept_and_private(tmp_path):
    def key():
        directory = StateDirectory(str(tmp_path), "qemu:///system")
        contents = directory.open()
        directory.close()
        return contents.key, next(tmp_path.glob("agent-*.key"))

    first, path = key()
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key()[0] == first
    for spoilt in (b"", b"x" * 32, b"\xff" * 32, b"a" * 1000):
        path.write_bytes(spoilt)
        made = key()[0]
        assert re.fullmatch("[0-9a-f]{32}", made)
        assert key()[0] == made != first
    path.unlink()
    _folder(path)
    made = key()[0]
    assert key()[0] == made

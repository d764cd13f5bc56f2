# SPDX-License-Identifier: Apache-2.0
"""Connections of threads, on a libvirt that answers nothing."""

import socket

import libvirt
import pytest

from lab import fake_libvirt
from migprog.compute.libvirt.connection import ThreadConnection
from migprog.compute.libvirt.opening import Opening

SECONDS = 30.0


def test_connection_is_opened_again_when_it_is_to_be_read_write_or_no_longer(monkeypatch):
    opened = []

    def opens(kind):
        def open_(_uri):
            opened.append(kind)
            return fake_libvirt.Connection()

        return open_

    monkeypatch.setattr(libvirt, "openReadOnly", opens("read-only"))
    monkeypatch.setattr(libvirt, "open", opens("read-write"))
    modes = [False]
    own = ThreadConnection("", Opening(SECONDS), lambda: modes[-1])
    for mode in (False, True, False):
        modes.append(mode)
        assert own.get() is own.get()
    assert opened == ["read-only", "read-write", "read-only"]


def test_read_write_connection_that_libvirt_refuses_is_a_read_only_one(monkeypatch):
    def refuse(_uri):
        raise libvirt.libvirtError("access denied")

    monkeypatch.setattr(libvirt, "open", refuse)
    monkeypatch.setattr(libvirt, "openReadOnly", lambda _uri: fake_libvirt.Connection())
    own = ThreadConnection("", Opening(SECONDS), lambda: True)
    assert own.get() is own.get()


def test_libvirt_that_accepts_a_connection_and_does_not_answer_is_given_up(tmp_path):
    path = f"{tmp_path}/socket"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        own = ThreadConnection(f"qemu+unix:///system?socket={path}", Opening(0.05))
        with pytest.raises(TimeoutError, match="no answer from libvirt within"):
            own.get()

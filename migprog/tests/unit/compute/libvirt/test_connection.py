# SPDX-License-Identifier: Apache-2.0
"""Connections of threads, on a libvirt that answers nothing."""

import libvirt

from lab import fake_libvirt
from migprog.compute.libvirt.connection import ThreadConnection


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
    own = ThreadConnection("", lambda: modes[-1])
    for mode in (False, True, False):
        modes.append(mode)
        assert own.get() is own.get()
    assert opened == ["read-only", "read-write", "read-only"]


def test_read_write_connection_that_libvirt_refuses_is_a_read_only_one(monkeypatch):
    def refuse(_uri):
        raise libvirt.libvirtError("access denied")

    monkeypatch.setattr(libvirt, "open", refuse)
    monkeypatch.setattr(libvirt, "openReadOnly", lambda _uri: fake_libvirt.Connection())
    own = ThreadConnection("", lambda: True)
    assert own.get() is own.get()

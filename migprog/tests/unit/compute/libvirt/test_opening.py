# SPDX-License-Identifier: Apache-2.0
"""Connections that do not come, and those that come too late."""

import threading

import pytest

from migprog.compute.libvirt.opening import Opening

_SECONDS = 60


class Connection:
    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


def test_the_connection_or_the_error_is_handed_over():
    opening, connection = Opening(_SECONDS), Connection()
    assert opening.open(lambda: connection) is connection
    with pytest.raises(ZeroDivisionError):
        opening.open(lambda: 1 // 0)
    assert not connection.closed.is_set()


def test_hanging_attempt_ends_in_time_and_its_late_connection_is_closed():
    opening, connection, go = Opening(0.05), Connection(), threading.Event()

    def late():
        go.wait(_SECONDS)
        return connection

    with pytest.raises(TimeoutError, match=r"no answer from libvirt within 0\.05 s"):
        opening.open(late)
    go.set()
    assert connection.closed.wait(_SECONDS)


def test_so_many_attempts_hang_and_no_more_until_one_has_ended():
    opening, go, hung = Opening(0.5), threading.Event(), []

    def hang():
        hung.append(connection := Connection())
        go.wait(_SECONDS)
        return connection

    for _ in range(4):
        with pytest.raises(TimeoutError, match="no answer from libvirt within"):
            opening.open(hang)
    with pytest.raises(TimeoutError, match="too many calls wait for libvirt"):
        opening.open(hang)
    assert len(hung) == 4
    go.set()
    for each in hung:
        assert each.closed.wait(_SECONDS)
    assert opening.open(lambda: 7) == 7

# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from migprog.compute.unresponsive_libvirt import Libvirt
from migprog.metrics import REGISTRY


@pytest.fixture(autouse=True)
def _level(caplog):
    caplog.set_level(logging.INFO)


def levels(caplog):
    return [record.levelname for record in caplog.records]


def up():
    return REGISTRY.get_sample_value("migprog_libvirt_up", {"connection_uri": "qemu:///x"})


def test_unavailable_libvirt_is_logged_at_growing_intervals(caplog):
    libvirt = Libvirt("qemu:///x", 0.0)
    assert up() == 0
    for now in range(0, 3600, 5):
        libvirt.fails("no such socket", float(now), next_seconds=5.0)
        libvirt.look(float(now), 15.0)
    assert levels(caplog) == ["WARNING"] * 10
    assert caplog.messages[0] == (
        "qemu:///x: cannot reach libvirt: no such socket (attempt 1); migrations of this host are "
        "not seen until it answers; next attempt in 5 s"
    )
    libvirt.answers(3600.0)
    assert caplog.messages[-1] == "qemu:///x: libvirt answers after 1 h 00 min"
    assert up() == 1
    libvirt.fails("gone", 3700.0, next_seconds=5.0)
    assert levels(caplog)[-1] == "WARNING"
    assert up() == 0


def test_a_libvirt_that_hangs_is_logged(caplog):
    libvirt = Libvirt("qemu:///x", 0.0)
    libvirt.answers(10.0)
    assert libvirt.next_look_at(15.0) == 25.0
    libvirt.look(24.0, 15.0)
    assert caplog.records == []
    libvirt.look(25.0, 15.0)
    libvirt.look(26.0, 15.0)
    assert caplog.messages == [
        "qemu:///x: libvirt has not answered for 15 s; migrations of this host are not seen until "
        "it does; check libvirt's daemon"
    ]
    assert up() == 0

# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from migprog.compute.unresponsive_servers import UnresponsiveServers
from migprog.tests.fixtures.driven import SERVER, UUID


@pytest.fixture(autouse=True)
def _level(caplog):
    caplog.set_level(logging.INFO)


def levels(caplog):
    return [record.levelname for record in caplog.records]


def test_unresponsive_server_is_logged_at_growing_intervals_and_when_it_answers(caplog):
    silent = UnresponsiveServers()
    silent.begins(SERVER, 100.0)
    assert silent.next_look_at(10.0) == 110.0
    silent.look(109.0, 10.0)
    assert caplog.records == []
    for now in (110.0, 111.0, 169.0):
        silent.look(now, 10.0)
    assert levels(caplog) == ["WARNING"]
    assert f"server {SERVER}: libvirt has not answered for 10 s" in caplog.text
    assert silent.next_look_at(10.0) == 170.0
    for now in range(170, 50_000):
        silent.look(float(now), 10.0)
    assert levels(caplog) == ["WARNING"] * 19
    assert f"server {SERVER}: libvirt has not answered for 1 min 10 s" in caplog.messages[1]
    assert silent.next_look_at(10.0) <= 50_000.0 + 3600.0
    caplog.clear()
    for hour in range(1, 2001):
        silent.look(50_000.0 + 3600 * hour, 10.0)
    assert levels(caplog) == ["WARNING"] * 2000
    caplog.clear()
    silent.ends(SERVER, 8_000_000.0, gone=False)
    assert caplog.messages == [f"server {SERVER}: libvirt answers again after 2222 h 11 min"]
    assert silent.next_look_at(10.0) is None


def test_a_short_silence_is_not_logged(caplog):
    silent = UnresponsiveServers()
    silent.begins(SERVER, 100.0)
    silent.begins(UUID, 101.0)
    silent.ends(SERVER, 105.0, gone=False)
    silent.ends(UUID, 105.0, gone=True)
    silent.look(200.0, 10.0)
    assert caplog.records == []

# SPDX-License-Identifier: Apache-2.0
"""How many requests wait for Keystone at a time."""

import threading

import pytest
from keystoneauth1 import exceptions
from oslo_config import cfg

from migprog.api import keystone

_SECONDS = 10


def test_half_of_the_threads_ask_and_a_quarter_waits_and_the_others_fail_at_once():
    turns = keystone.Turns(threads=8)
    hung, asking, failed = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def ask():
        try:
            with turns.one():
                asking.release()
                hung.wait(_SECONDS)
        except exceptions.ConnectFailure:
            failed.release()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(12)]
    for each in threads:
        each.start()
    for _ in range(4):
        assert asking.acquire(timeout=_SECONDS)
    # The others have failed, those that waited for a turn too.
    for _ in range(8):
        assert failed.acquire(timeout=_SECONDS)
    assert not asking.acquire(blocking=False)
    hung.set()
    for each in threads:
        each.join(_SECONDS)
    with turns.one():
        pass


def test_what_is_asked_to_ask_takes_no_further_turn():
    turns = keystone.Turns(threads=1)
    with turns.one(), turns.one():
        pass
    with turns.one():
        pass


@pytest.mark.parametrize(
    ("text", "timeout", "retries"),
    [("", 5, 1), ("http_connect_timeout = 7\nhttp_request_max_retries = 2\n", 7, 2)],
)
def test_keystone_has_deadlines_unless_the_operator_has_others(tmp_path, text, timeout, retries):
    path = tmp_path / "x.conf"
    path.write_text(f"[keystone_authtoken]\nauth_type = password\nauth_url = http://x/v3\n{text}")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(path)], default_config_dirs=[])
    keystone.authenticated(conf, lambda environ, start: [])
    group = conf.keystone_authtoken
    assert (group.http_connect_timeout, group.http_request_max_retries) == (timeout, retries)

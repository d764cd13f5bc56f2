# SPDX-License-Identifier: Apache-2.0
"""How many requests wait for Keystone at a time."""

import contextlib
import http.server
import json
import threading
import time

import pytest
import webob
from keystoneauth1 import exceptions, loading
from oslo_config import cfg

from migprog.api import keystone
from migprog.tests.fixtures.dripping import BEGINNINGS, dripping

_SECONDS = 10


def test_half_of_the_threads_query_keystone_a_quarter_waits_and_others_fail_at_once():
    turns = keystone.Turns(threads=8, deadline_seconds=_SECONDS)
    hung, asking, failed = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def wait():
        asking.release()
        hung.wait(_SECONDS)

    def ask():
        try:
            turns.run(wait)
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
    assert turns.run(lambda: 7) == 7


def test_call_within_a_turn_takes_no_further_turn():
    turns = keystone.Turns(threads=1, deadline_seconds=_SECONDS)
    assert turns.run(lambda: turns.run(lambda: 7)) == 7
    assert turns.run(lambda: 8) == 8


@pytest.mark.parametrize("where", ["in its status", "in its body"])
def test_a_keystone_that_drips_is_given_up_by_its_deadline(where):
    """By keystonemiddleware, whose first question is about an unknown token."""
    with dripping(BEGINNINGS[where]) as server:
        conf = cfg.ConfigOpts()
        loading.register_auth_conf_options(conf, "keystone_authtoken")
        conf.register_opts(loading.get_auth_plugin_conf_options("v3token"), "keystone_authtoken")
        for group, options in keystone.keystone_opts.list_auth_token_opts():
            conf.register_opts(options, group)
        url = f"http://127.0.0.1:{server.port}/v3"
        for name, value in {
            "auth_type": "v3token",
            "auth_url": url,
            "token": "ours",
            "www_authenticate_uri": url,
            "http_connect_timeout": 1,
        }.items():
            conf.set_override(name, value, "keystone_authtoken")
        conf([], default_config_files=[], default_config_dirs=[])
        app = keystone.authenticated(conf, lambda environ, start: [])
        begun = time.monotonic()
        answer = webob.Request.blank("/", headers={"X-Auth-Token": "unknown"}).get_response(app)
        assert answer.status_code == 503
        assert time.monotonic() - begun < 3 * _SECONDS
        assert server.left.wait(3 * _SECONDS)


@contextlib.contextmanager
def knows_no_token():
    """An identity API that knows no token; what was asked, and by whose connection."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append((self.path, self.client_address))
            is_token = self.path.endswith("/auth/tokens")
            link = {"rel": "self", "href": f"http://{self.headers['Host']}/v3"}
            version = {"id": "v3.14", "status": "stable", "links": [link]}
            body = b"{}" if is_token else json.dumps({"version": version}).encode()
            self.send_response(404 if is_token else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v3", asked
        server.shutdown()


def test_one_connection_carries_the_checks_of_all_tokens(tmp_path):
    with knows_no_token() as (url, asked):
        path = tmp_path / "x.conf"
        path.write_text(
            f"[keystone_authtoken]\nauth_type = none\nendpoint = {url}\n"
            f"www_authenticate_uri = {url}\n"
        )
        conf = cfg.ConfigOpts()
        conf(["--config-file", str(path)], default_config_dirs=[])
        app = keystone.authenticated(conf, lambda environ, start: [])
        for number in range(5):
            headers = {"X-Auth-Token": f"token-{number}"}
            assert webob.Request.blank("/", headers=headers).get_response(app).status_code == 401
    checks = [path for path, _ in asked if path.endswith("/auth/tokens")]
    assert len(checks) >= 5
    assert len({address for _, address in asked}) == 1


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

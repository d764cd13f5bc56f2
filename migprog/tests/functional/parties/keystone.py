# SPDX-License-Identifier: Apache-2.0
"""Keystone: an API that serves, and tokens that it does not know yet."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import requests
from keystoneauth1 import loading
from oslo_config import cfg

from lab.parts import processes
from migprog import httpd
from migprog.api import app
from migprog.api import keystone as api_keystone
from migprog.conf import api as api_conf
from migprog.db import connections
from migprog.tests import stores
from migprog.tests.fixtures.dripping import dripping
from migprog.tests.functional.parties.hung import full_backlog
from migprog.tests.functional.parties.table import SHORT, SLACK_SECONDS, Times, cell


@contextlib.contextmanager
def _behind_keystone(url: str) -> Iterator[str]:
    """An API's address whose Keystone is at ``url``; it has four threads."""
    conf = cfg.ConfigOpts()
    conf.register_opts(api_conf.OPTS, api_conf.GROUP.name)
    connections.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    loading.register_auth_conf_options(conf, "keystone_authtoken")
    conf.register_opts(loading.get_auth_plugin_conf_options("password"), "keystone_authtoken")
    conf.set_override("connection", "sqlite://", "database")
    conf.set_override("threads", 4, "api")
    for group, options in api_keystone.keystone_opts.list_auth_token_opts():
        conf.register_opts(options, group)
    for name, value in {
        "auth_type": "password",
        "auth_url": url,
        "username": "migprog",
        "password": "secret",
        "user_domain_id": "default",
        "project_name": "service",
        "project_domain_id": "default",
        "www_authenticate_uri": url,
        "http_connect_timeout": int(SHORT.keystone),
    }.items():
        conf.set_override(name, value, "keystone_authtoken")
    store = stores.ready("sqlite://")
    server = httpd.Server(
        app.create(conf, store), "127.0.0.1", 0, 4, "[test] listen", reserved=("/healthcheck", "/")
    )
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        store.close()


def _others_are_served(url: str) -> None:
    """While more requests than there are threads have tokens that Keystone should know."""
    with _behind_keystone(url) as api:
        found: list[int] = []

        def ask(number: int) -> None:
            headers = {"X-Auth-Token": f"unknown-{number}"}
            answer = requests.get(f"{api}/migrations", headers=headers, timeout=60)
            found.append(answer.status_code)

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for each in asking:
            each.start()
        begun = time.monotonic()
        assert requests.get(f"{api}/", timeout=60).status_code == 200
        public_seconds = time.monotonic() - begun
        for each in asking:
            each.join(60)
        assert found == [503] * len(asking), found
        assert public_seconds < SHORT.keystone + SLACK_SECONDS / 2, public_seconds


def _keystone_seconds(times: Times) -> float:
    # A second to wait for one's turn, one for another's login. A login asks three times; what is
    # asked with a token of ours is tried again half a second later.
    retries = times.keystone_retries
    return 2 + max(3 * times.keystone, (1 + retries) * times.keystone + 0.5 * retries)


_ONLY_NEW = "503 for tokens not seen before; known tokens and public paths are served"


@cell("Keystone", "away", "API", _ONLY_NEW, _keystone_seconds)
def _() -> None:
    with full_backlog() as port:
        _others_are_served(f"http://127.0.0.1:{port}/v3")


@cell("Keystone", "refuses", "API", _ONLY_NEW, lambda t: 1 + 0.5 * t.keystone_retries)
def _() -> None:
    (port,) = processes.free_ports(1)
    _others_are_served(f"http://127.0.0.1:{port}/v3")


@cell("Keystone", "silent", "API", _ONLY_NEW, _keystone_seconds)
def _() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _others_are_served(f"http://127.0.0.1:{silent.getsockname()[1]}/v3")


@cell("Keystone", "slow", "API", _ONLY_NEW, _keystone_seconds)
def _() -> None:
    with dripping() as server:
        _others_are_served(f"http://127.0.0.1:{server.port}/v3")

# SPDX-License-Identifier: Apache-2.0
"""Nova, and Keystone, where the conductor logs in for it, in a thread of its own."""

import socket

from keystoneauth1 import loading
from oslo_config import cfg

from lab.parts import processes
from migprog.conductor.nova_client import NoAnswer, Nova
from migprog.conf import nova as nova_conf
from migprog.tests.fixtures.dripping import dripping
from migprog.tests.fixtures.nova import NovaApi
from migprog.tests.functional.parties.hung import full_backlog
from migprog.tests.functional.parties.table import SHORT, cell


def _no_name(auth_type: str, **options: str) -> None:
    conf = cfg.ConfigOpts()
    nova_conf.register_opts(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options(auth_type), "nova")
    values = {"auth_type": auth_type, "timeout": int(SHORT.nova), **options}
    for name, value in values.items():
        conf.set_override(name, value, "nova")
    conf([], default_config_files=[], default_config_dirs=[])
    try:
        Nova(conf).migrations("00000000-0000-0000-0000-000000000001")
    except NoAnswer:
        return
    raise AssertionError("Nova has answered")


def _no_name_of(url: str) -> None:
    _no_name("none", endpoint_override=url)


_LATER = "stores reports as usual; Nova's ids of migrations stay unknown, and are looked up again"


@cell("Nova", "away", "conductor", _LATER, lambda t: t.nova)
def _() -> None:
    with full_backlog() as port:
        _no_name_of(f"http://127.0.0.1:{port}/v2.1")


@cell("Nova", "refuses", "conductor", _LATER, lambda t: 0.0)
def _() -> None:
    (port,) = processes.free_ports(1)
    _no_name_of(f"http://127.0.0.1:{port}/v2.1")


@cell("Nova", "silent", "conductor", _LATER, lambda t: t.nova)
def _() -> None:
    nova = NovaApi()
    nova.awake.clear()
    with nova.serving():
        try:
            _no_name_of(nova.url)
        finally:
            nova.awake.set()


@cell("Nova", "slow", "conductor", _LATER, lambda t: 3 * t.nova)
def _() -> None:
    with dripping() as server:
        _no_name_of(f"http://127.0.0.1:{server.port}/v2.1")


def _no_login(url: str) -> None:
    _no_name(
        "password",
        auth_url=url,
        username="migprog",
        password="secret",
        project_name="service",
        user_domain_id="default",
        project_domain_id="default",
    )


# It is asked which versions it has, then for a token.
@cell("Keystone", "away", "conductor", _LATER, lambda t: 2 * t.nova)
def _() -> None:
    with full_backlog() as port:
        _no_login(f"http://127.0.0.1:{port}/v3")


@cell("Keystone", "refuses", "conductor", _LATER, lambda t: 0.0)
def _() -> None:
    (port,) = processes.free_ports(1)
    _no_login(f"http://127.0.0.1:{port}/v3")


@cell("Keystone", "silent", "conductor", _LATER, lambda t: 2 * t.nova)
def _() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _no_login(f"http://127.0.0.1:{silent.getsockname()[1]}/v3")


@cell("Keystone", "slow", "conductor", _LATER, lambda t: 3 * t.nova)
def _() -> None:
    with dripping() as server:
        _no_login(f"http://127.0.0.1:{server.port}/v3")

# SPDX-License-Identifier: Apache-2.0
"""A Nova, or its Keystone, that never ends its answer, by real keystoneauth over real sockets."""

import time

import pytest
from keystoneauth1 import loading
from oslo_config import cfg

from migprog.conductor.nova_client import NoAnswer, Nova
from migprog.conf import nova as nova_conf
from migprog.tests.fixtures.dripping import BEGINNINGS, dripping
from migprog.tests.fixtures.nova import NovaApi

SERVER = "00000000-0000-0000-0000-000000000001"
# The option takes whole numbers; a call has three times as long.
_TIMEOUT_SECONDS = 1
_SECONDS = 30


def nova(auth_type: str, **options: str) -> Nova:
    conf = cfg.ConfigOpts()
    nova_conf.register_opts(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options(auth_type), "nova")
    for name, value in {"auth_type": auth_type, "timeout": _TIMEOUT_SECONDS, **options}.items():
        conf.set_override(name, value, "nova")
    conf([], default_config_files=[], default_config_dirs=[])
    return Nova(conf)


def ends_in_time(asked: Nova) -> None:
    begun = time.monotonic()
    with pytest.raises(NoAnswer, match="no answer from Nova or its Keystone within 3 s"):
        asked.migrations(SERVER)
    assert time.monotonic() - begun < _SECONDS


@pytest.mark.parametrize("where", ["in its head", "in chunks"])
def test_login_at_a_keystone_that_drips_ends_in_time(where: str) -> None:
    with dripping(BEGINNINGS[where]) as keystone:
        asked = nova(
            "password",
            auth_url=f"http://127.0.0.1:{keystone.port}/v3",
            username="migprog",
            password="secret",
            project_name="service",
            user_domain_id="default",
            project_domain_id="default",
        )
        ends_in_time(asked)
        # Nothing of it is left behind: neither a connection nor the thread that reads it.
        assert keystone.left.wait(_SECONDS)


@pytest.mark.parametrize("where", ["in its body"])
def test_question_to_a_nova_that_drips_ends_in_time(where: str) -> None:
    with dripping(BEGINNINGS[where]) as api:
        ends_in_time(nova("none", endpoint_override=f"http://127.0.0.1:{api.port}/v2.1"))
        assert api.left.wait(_SECONDS)


def test_nova_that_hung_is_asked_again_on_connections_that_work() -> None:
    api = NovaApi()
    with api.serving():
        asked = nova("none", endpoint_override=api.url)
        for _ in range(6):
            assert asked.migrations(SERVER) == []
        api.awake.clear()
        with pytest.raises(NoAnswer):
            asked.migrations(SERVER)
        api.awake.set()
        assert asked.migrations(SERVER) == []

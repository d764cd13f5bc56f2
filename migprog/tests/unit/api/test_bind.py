# SPDX-License-Identifier: Apache-2.0
"""``[api] bind_host`` and ``auth_strategy``."""

import pytest

from migprog import exception
from migprog.conf import api
from migprog.tests.unit.api.conftest import configuration


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "api.example.org", "localhost"])
def test_api_with_keystone_may_listen_on_any_address(host: str) -> None:
    conf = configuration("sqlite://", auth_strategy=api.KEYSTONE, bind_host=host, bind_port=80)
    assert api.bind_address(conf) == (host, 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_api_without_keystone_may_listen_on_this_machine(host: str) -> None:
    assert api.bind_address(configuration("sqlite://", bind_host=host)) == (host, 8790)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "controller"])
def test_api_without_keystone_may_listen_nowhere_else(host: str) -> None:
    rule = r"^\[api\] bind_host: .*auth_strategy is noauth"
    with pytest.raises(exception.ConfigError, match=rule):
        api.bind_address(configuration("sqlite://", bind_host=host))


def test_every_option_has_its_help_and_bounds() -> None:
    for opt in api.OPTS:
        assert opt.help
        if type(opt).__name__ == "IntOpt":
            assert opt.type.min is not None, opt.name
            assert opt.type.max is not None, opt.name

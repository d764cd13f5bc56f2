# SPDX-License-Identifier: Apache-2.0
"""``[api] listen`` and ``auth_strategy``."""

import pytest

from migprog import exception
from migprog.conf import api


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8790", ("127.0.0.1", 8790)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("api.example.org:80", ("api.example.org", 80)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_good(listen: str, address: tuple[str, int]) -> None:
    assert api.check_listen(listen, api.KEYSTONE) == address


@pytest.mark.parametrize(
    "listen",
    [
        *("", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536"),
        *("127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 80", "127.0.0.1:８０", "127.0.0.1:8_0"),
        *("::1:80", "[::1]", "[::1:80", "[127.0.0.1]:80", "[]:80", "1.2.3.999:80", "a b:80"),
        *("http://127.0.0.1:80", "127.0.0.1:80/", "-a:80"),
    ],
)
def test_bad(listen: str) -> None:
    with pytest.raises(exception.ConfigError, match=r"^\[api\] listen: .* must be ADDRESS:PORT"):
        api.check_listen(listen, api.KEYSTONE)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_noauth_listens_on_this_machine(host: str) -> None:
    assert api.check_listen(f"{host}:80", api.NOAUTH).port == 80


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "[2001:db8::1]", "controller"])
def test_noauth_listens_nowhere_else(host: str) -> None:
    with pytest.raises(exception.ConfigError, match=r"^\[api\] listen: .*auth_strategy is noauth"):
        api.check_listen(f"{host}:80", api.NOAUTH)


def test_every_option_has_its_help_and_bounds() -> None:
    for opt in api.OPTS:
        assert opt.help
        if type(opt).__name__ == "IntOpt":
            assert opt.type.min is not None, opt.name
            assert opt.type.max is not None, opt.name

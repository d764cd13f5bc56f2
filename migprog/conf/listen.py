# SPDX-License-Identifier: Apache-2.0
"""Read the options that name an address and a port to listen on."""

import re
from typing import NamedTuple

from oslo_config import types

from migprog import exception

_LISTEN = re.compile(r"(?:\[(?P<ipv6>[^]]+)\]|(?P<host>[^][:]+)):(?P<port>[0-9]{1,5})")
_HOST = types.HostAddress(4)
_RULE = "must be ADDRESS:PORT with an IPv6 address in brackets and a port from 0 to 65535"


class Address(NamedTuple):
    """Where to listen: a host without brackets, and a port."""

    host: str
    port: int


def parse_listen(listen: str, option: str) -> Address:
    """Return the address in ``listen``, the value of ``option`` (``[group] name``).

    Raises :class:`exception.ConfigError`.
    """
    match = _LISTEN.fullmatch(listen)
    try:
        if not match or int(match["port"]) > 65535:
            raise ValueError
        host = types.IPAddress(6)(match["ipv6"]) if match["ipv6"] else _HOST(match["host"])
    except ValueError:
        raise exception.ConfigError(f"{option}: {listen!r} {_RULE}") from None
    return Address(host, int(match["port"]))

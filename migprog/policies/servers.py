# SPDX-License-Identifier: Apache-2.0
"""Rules for servers in the native API."""

from migprog.policies.base import OVERSEER, READER, rule

SHOW = "migprog:servers:show"
HOSTS = "migprog:servers:hosts"

_SERVER = "GET /servers/{server_uuid}"

RULES = (
    rule(SHOW, READER, "Show a server's progress.", _SERVER),
    rule(HOSTS, OVERSEER, "See on which host a server is. For others it is null.", _SERVER),
)

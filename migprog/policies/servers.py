# SPDX-License-Identifier: Apache-2.0
"""Rules for servers in the native API."""

from migprog.policies.base import MANAGER, OVERSEER, PROJECT, READER, rule

SHOW = "migprog:servers:show"
HOSTS = "migprog:servers:hosts"
SHOW_FORECAST = "migprog:servers:show_forecast"
FORECAST = "migprog:servers:forecast"
MEASURE = "migprog:servers:measure"

_SERVER = "GET /servers/{server_uuid}"

RULES = (
    rule(SHOW, READER, "Show a server's progress.", _SERVER),
    rule(HOSTS, OVERSEER, "See on which host a server is. For others it is null.", _SERVER),
    rule(
        SHOW_FORECAST,
        READER,
        "Forecast a migration of a server that has not begun, by its newest measurement. Naming "
        "hosts, and seeing them, takes migprog:migrations:hosts.",
        f"{_SERVER}/forecast",
    ),
    rule(
        FORECAST,
        f"rule:{SHOW_FORECAST}",
        "The same for POST; to have the server measured first takes migprog:servers:measure, too.",
        "POST /servers/{server_uuid}/forecast",
    ),
    rule(
        MEASURE,
        MANAGER,
        "Have a server measured for a forecast.",
        "POST /servers/{server_uuid}/forecast",
        scopes=PROJECT,
    ),
)

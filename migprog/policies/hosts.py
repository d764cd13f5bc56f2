# SPDX-License-Identifier: Apache-2.0
"""Rules for hosts and their drain."""

from migprog.policies.base import ADMIN, OVERSEER, PROJECT, rule

SHOW = "migprog:hosts:show"
DRAIN = "migprog:hosts:drain"
SHOW_PLAN = "migprog:hosts:show_drain_plan"
PLAN = "migprog:hosts:drain_plan"
MEASURE = "migprog:hosts:measure"

RULES = (
    rule(
        SHOW,
        OVERSEER,
        "See which migrations touch a host, and whether its services may be restarted.",
        "GET /hosts/{host}",
    ),
    rule(
        DRAIN,
        OVERSEER,
        "See what still runs on a host, and when it will be empty.",
        "GET /hosts/{host}/drain",
    ),
    rule(
        SHOW_PLAN,
        OVERSEER,
        "See the plan of a host's drain, and how the drain goes.",
        "GET /hosts/{host}/drain-plan",
    ),
    rule(
        PLAN,
        f"rule:{SHOW_PLAN}",
        "Plan the drain of a host; to have its servers measured first takes migprog:hosts:measure, "
        "too.",
        "POST /hosts/{host}/drain-plan",
    ),
    rule(
        MEASURE,
        ADMIN,
        "Have all servers of a host measured for the plan of its drain.",
        "POST /hosts/{host}/drain-plan",
        scopes=PROJECT,
    ),
)

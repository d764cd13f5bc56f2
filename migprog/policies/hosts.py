# SPDX-License-Identifier: Apache-2.0
"""Rules for hosts and their drain."""

from migprog.policies.base import OVERSEER, rule

DRAIN = "migprog:hosts:drain"

RULES = (
    rule(
        DRAIN,
        OVERSEER,
        "See what still runs on a host, and when it will be empty.",
        "GET /hosts/{host}/drain",
    ),
)

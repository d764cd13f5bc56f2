# SPDX-License-Identifier: Apache-2.0
"""Rules for agents, that is for hosts of the whole deployment."""

from migprog.policies.base import OVERSEER, rule

LIST = "migprog:agents:list"

RULES = (rule(LIST, OVERSEER, "List the agents, by host.", "GET /agents"),)

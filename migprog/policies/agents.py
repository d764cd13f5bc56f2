# SPDX-License-Identifier: Apache-2.0
"""Agents: hosts all over."""

from migprog.policies.base import OVERSEER, rule

LIST = "migprog:agents:list"

RULES = (rule(LIST, OVERSEER, "List the agents, by host.", "GET /agents"),)

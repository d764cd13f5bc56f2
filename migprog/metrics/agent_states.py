# SPDX-License-Identifier: Apache-2.0
"""Metrics of the agents by their heartbeats in the database, which all conductors share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily

from migprog.metrics import REGISTRY

# Where there are more hosts, only silent agents have series, and at most so many of them: each
# conductor is scraped for all. The count of all agents has no limit.
MOST_HOSTS = 5000


class AgentState(NamedTuple):
    """``reported_at`` is in seconds since the epoch, by the conductors' clock."""

    host: str
    is_silent: bool
    reported_at: float


@dataclass(frozen=True, slots=True)
class States:
    """``count``: of all agents, ``silent`` of these. ``hosts``: those that have series."""

    count: int
    silent: int
    hosts: Sequence[AgentState]


@dataclass(slots=True, eq=False)
class AgentStatesCollector:
    """A collector of prometheus_client. ``states``: what to show; None shows nothing, since a
    database that is away says nothing of any agent. Any thread may replace it."""

    states: States | None = field(default=None)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics without any series, so that the registry learns their names."""
        return _families()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        agents, silent, reported = families = _families()
        states = self.states
        if states is not None:
            agents.add_metric(("up",), states.count - states.silent)
            agents.add_metric(("silent",), states.silent)
            for each in states.hosts[:MOST_HOSTS]:
                silent.add_metric((each.host,), each.is_silent)
                reported.add_metric((each.host,), each.reported_at)
        return families


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "migprog_agents",
            "Agents in the database, by state: up, or silent (two heartbeats missed, or a loop "
            "that hangs); each conductor shows all.",
            labels=("state",),
        ),
        GaugeMetricFamily(
            "migprog_agent_silent",
            "1 for an agent that has missed two heartbeats, or whose loop hangs; each conductor "
            "shows all.",
            labels=("host",),
        ),
        GaugeMetricFamily(
            "migprog_agent_last_report_timestamp_seconds",
            "When a conductor last received something from an agent, in seconds since the epoch.",
            labels=("host",),
        ),
    )


AGENTS = AgentStatesCollector()
REGISTRY.register(AGENTS)

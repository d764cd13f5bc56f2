# SPDX-License-Identifier: Apache-2.0
"""The plan of a load test; the fleets' processes get it as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Self

from migprog import exception
from migprog.core.schedule import STEP_POINTS

# Prefix of all simulated hosts' names, by which their rows are found again.
HOST_PREFIX = "loadtest-"
# No percentage moves by so many points.
NO_STEPS = 101
MOST_HOSTS = 100_000
# Of all idle hosts together: the machine's ports and threads are the limit.
MOST_CONNECTIONS = 10_000
# What an idle host has at the broker, by its number of connections.
CONNECTIONS = (
    "all hosts of a process share one",
    "one to send, as an agent since whose start nothing has migrated",
    "another with a queue for answers, as after the first migration",
    "another with three queues for requests, as with [compute] allow_actions",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """``hosts`` migrate ``per_host`` servers each, continuously, and report every interval;
    ``idle_hosts`` more only send heartbeats, by ``idle_connections`` connections each (see
    :data:`CONNECTIONS`).

    ``step_points``: points by which the percentage moves before it is reported within the
    interval; ``NO_STEPS``: never. ``migration_seconds``: average duration of a migration.
    ``seconds``: duration of the measurement, which begins after all hosts have started.
    """

    hosts: int
    per_host: int
    interval_seconds: float
    heartbeat_seconds: float = 30.0
    step_points: int = STEP_POINTS
    poll_seconds: float = 0.5
    migration_seconds: float = 300.0
    seconds: float = 60.0
    idle_hosts: int = 0
    idle_connections: int = 0

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not least <= value <= most:
                raise exception.BadRequest(name, f"{value:g} must be from {least:g} to {most:g}")
        if not self.hosts and not self.idle_hosts:
            raise exception.BadRequest("hosts", "0 must go with idle_hosts")
        if self.idle_hosts * self.idle_connections > MOST_CONNECTIONS:
            raise exception.BadRequest(
                "idle_connections",
                f"{self.idle_connections} for each of {self.idle_hosts} idle hosts must be "
                f"at most {MOST_CONNECTIONS} together",
            )
        for less, more in (("poll_seconds", "interval_seconds"), *_HEARTBEAT):
            if getattr(self, less) > getattr(self, more):
                raise exception.BadRequest(
                    less, f"{getattr(self, less):g} must not be more than {more}"
                )

    @property
    def migrations(self) -> int:
        return self.hosts * self.per_host

    @property
    def warm_up_seconds(self) -> float:
        """The time until all hosts have started, one after the other, and are in a steady state."""
        # Each idle host is then known to the conductors.
        beat_seconds = self.heartbeat_seconds if self.idle_hosts else 0.0
        if not self.hosts:
            return beat_seconds
        return max(beat_seconds, self.begin_seconds + max(4.0, 2 * self.interval_seconds))

    @property
    def begin_seconds(self) -> float:
        """The time over which the hosts' starts are spread."""
        return max(self.interval_seconds, self.migrations / 100)


_HEARTBEAT = (("interval_seconds", "heartbeat_seconds"),)
_RANGES = (
    ("hosts", 0, MOST_HOSTS),
    ("per_host", 1, 500),
    ("interval_seconds", 0.1, 600),
    ("heartbeat_seconds", 1, 3600),
    ("step_points", 1, NO_STEPS),
    ("poll_seconds", 0.05, 60),
    ("migration_seconds", 10, 86_400),
    ("seconds", 1, 86_400),
    ("idle_hosts", 0, MOST_HOSTS),
    ("idle_connections", 0, len(CONNECTIONS) - 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One process's part of a load: the hosts ``first``, ``first + step`` and so on.

    ``changes_per_second``: of how many changes the process writes when each was reported. Times
    are of the monotonic clock, which all processes of a machine share: the hosts start at
    ``begin_at``, and at each of ``marks`` the process writes its counts.
    """

    load: Load
    run: str
    first: int
    step: int
    config_files: tuple[str, ...]
    recordings: tuple[str, ...]
    changes_per_second: float
    begin_at: float
    marks: tuple[float, float]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        values["load"] = Load(**values["load"])
        for name in ("config_files", "recordings", "marks"):
            values[name] = tuple(values[name])
        return cls(**values)

    @property
    def host_names(self) -> list[str]:
        numbers = range(self.first, self.load.hosts, self.step)
        return [host_name(self.run, number) for number in numbers]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleShare:
    """One process's part of the idle hosts: ``first``, ``first + step`` and so on of
    ``load.idle_hosts``."""

    load: Load
    run: str
    first: int
    step: int
    config_files: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        values["load"] = Load(**values["load"])
        values["config_files"] = tuple(values["config_files"])
        return cls(**values)

    @property
    def host_names(self) -> list[str]:
        numbers = range(self.first, self.load.idle_hosts, self.step)
        return [f"{HOST_PREFIX}{self.run}-idle-{number:05d}" for number in numbers]


def host_name(run: str, number: int) -> str:
    """Return the name of the simulated host with that number."""
    return f"{HOST_PREFIX}{run}-{number:05d}"

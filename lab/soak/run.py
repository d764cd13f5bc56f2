# SPDX-License-Identifier: Apache-2.0
"""The soak: two agents, a conductor, RabbitMQ and MariaDB, and what they use meanwhile."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lab.parts import broker, databases, processes
from lab.parts.deployment import Deployment
from lab.soak.judge import Finding, judge
from lab.soak.plan import HOSTS, Ending, Journey, journey
from lab.soak.usage import Series

_STAND_IN = pathlib.Path(__file__).with_name("stand_in")
# The stand-in's servers set out so long after the file with the plan is there.
_BEGINS_AFTER_SECONDS = 1.0
# What is looked at so often, at most; a long run is looked at this many times.
_LOOK_SECONDS, _LOOKS = 0.5, 600
_TOLD_SECONDS = 10.0
# An arrival-only record is made after a minute, and an agent retries within half a minute.
_SETTLED_SECONDS = 110.0
_BACKEND = "MIGPROG_CONCURRENCY"
_WRITTEN_CHARACTERS = 6000


@dataclass(frozen=True, slots=True)
class Settings:
    """``warm_up``: so many migrations are not judged for what they leave in memory. ``without``:
    endings that there are none of. What the stand-in for libvirt keeps for each migration:
    ``leak_bytes`` and ``leak_descriptors``."""

    migrations: int
    seed: int
    per_second: float
    warm_up: int
    without: tuple[Ending, ...] = ()
    leak_bytes: int = 0
    leak_descriptors: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """``left``: files in the agents' state folders at the end. ``series``: by process."""

    journeys: list[Journey]
    findings: list[Finding]
    left: list[str]
    series: dict[str, Series]
    took_seconds: float


@dataclass(frozen=True, slots=True)
class _Host:
    """A host as :class:`Deployment` knows it."""

    name: str

    @property
    def uri(self) -> str:
        return f"soak:///{self.name}"


def soak(settings: Settings, directory: pathlib.Path, say: Callable[[str], None]) -> Result:
    """Run one. Raises :class:`RuntimeError` when one of the processes has ended."""
    with contextlib.ExitStack() as stack:
        rabbitmq = stack.enter_context(broker.rabbitmq())
        database_url = stack.enter_context(databases.mariadb()).new_database()
        deployment = stack.enter_context(
            Deployment(directory, rabbitmq.url, database_url, os.environ.get(_BACKEND, "threading"))
        )
        plan = directory / "plan.json"
        environment = {"PYTHONPATH": str(_STAND_IN), "MIGPROG_SOAK": str(plan)}
        for name in HOSTS:
            deployment.agent(_Host(name), environment, report_interval=1, scan_interval=2)
        engine = sa.create_engine(database_url)
        stack.callback(engine.dispose)
        return _Soak(settings, deployment, engine, say).run(plan)


class _Soak:
    def __init__(
        self,
        settings: Settings,
        deployment: Deployment,
        engine: sa.Engine,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._deployment = deployment
        self._engine = engine
        self._say = say
        self._programs = {
            **{f"agent {name}": program for name, program in deployment.agents.items()},
            "conductor": deployment.conductor,
        }
        self._series = {name: Series(p.process.pid) for name, p in self._programs.items()}
        self._journeys = [
            journey(number, settings.seed, settings.per_second, settings.without)
            for number in range(settings.migrations)
        ]

    def run(self, plan: pathlib.Path) -> Result:
        begins_at = time.monotonic() + _BEGINS_AFTER_SECONDS
        self._write(plan, begins_at)
        self._watch(begins_at)
        last = max(each.begins_at + each.lasts_seconds for each in self._journeys)
        time.sleep(max(0.0, begins_at + last - time.monotonic()))
        self._settle()
        for program in self._programs.values():
            program.check()
        findings, left = judge(self._journeys, self._records()), self._left()
        took_seconds = time.monotonic() - begins_at
        if findings or left:
            self._say_what_was_written()
        return Result(self._journeys, findings, left, self._series, took_seconds)

    def _say_what_was_written(self) -> None:
        """Say the ends of the processes' logs, which are deleted afterwards."""
        for name, program in self._programs.items():
            self._say(f"{name} has written:\n{program.output()[-_WRITTEN_CHARACTERS:]}")

    def _write(self, plan: pathlib.Path, begins_at: float) -> None:
        settings = self._settings
        known = {
            "begins_at": begins_at,
            "count": settings.migrations,
            "seed": settings.seed,
            "per_second": settings.per_second,
            "without": settings.without,
            "leak_bytes": settings.leak_bytes,
            "leak_descriptors": settings.leak_descriptors,
        }
        # Whole or not there at all.
        new = plan.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.replace(plan)

    def _watch(self, begins_at: float) -> None:
        """Look at the processes while there are always as many migrations under way: until the
        last one sets out."""
        until = begins_at + self._journeys[-1].begins_at
        every_seconds = max(_LOOK_SECONDS, (until - time.monotonic()) / _LOOKS)
        say_at = time.monotonic() + _TOLD_SECONDS
        while time.monotonic() < until:
            for program in self._programs.values():
                program.check()
            ended = self._ended()
            if ended >= self._settings.warm_up:
                for series in self._series.values():
                    series.look(ended)
            if time.monotonic() >= say_at:
                say_at += _TOLD_SECONDS
                self._say(f"{ended:6}/{len(self._journeys)} have ended  {self._used()}")
            time.sleep(every_seconds)

    def _used(self) -> str:
        usages = []
        for name, series in self._series.items():
            latest = {what: points[-1].value for what, points in series.points.items() if points}
            if latest:
                usages.append(
                    f"{name}: {latest['rss_kib'] / 1024:.1f} MiB, {latest['descriptors']:.0f}"
                    f" descriptors, {latest['threads']:.0f} threads"
                )
        return "; ".join(usages) or "warming up"

    def _settle(self) -> None:
        """Wait until all is as it should be, or no longer."""
        with contextlib.suppress(TimeoutError):
            processes.wait_for(self._is_settled, _SETTLED_SECONDS, "all to be stored as it was")

    def _is_settled(self) -> bool:
        if self._ended() < len(self._journeys) or self._left():
            return False
        return not judge(self._journeys, self._records())

    def _ended(self) -> int:
        statement = sa.text("SELECT COUNT(*) FROM migrations WHERE ended_at IS NOT NULL")
        with self._engine.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def _records(self) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT * FROM migrations"))
            return [dict(row) for row in rows.mappings()]

    def _left(self) -> list[str]:
        """Files in the agents' state folders; their keys are beside these, and stay."""
        state = self._deployment.directory / "state"
        return sorted(
            path.name for path in state.rglob("*") if path.is_file() and path.suffix != ".key"
        )

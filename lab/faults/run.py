# SPDX-License-Identifier: Apache-2.0
"""Run rounds: one fault each, chosen by a seed, and now and then one without agents."""

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.faults import judge, traffic
from lab.faults.api_reader import ApiReader
from lab.faults.ground_truth import Ending, Truth
from lab.faults.judge import Finding, Record, Wrong
from lab.faults.kinds import Kind
from lab.faults.site import Site
from lab.faults.traffic import Fleet, Journey
from lab.parts import processes

# Of faults that take long, one in so many: the others take some seconds each.
_LONG_ONE_IN = 40
_SPARE_GUESTS = 2
_WITHIN_SECONDS = 1.0
_STRIKES_SECONDS = (0.0, 3.5)
# An agent that has failed for a minute retries every half a minute, and an arrival without a source
# waits a minute for its record.
_SETTLED_SECONDS = 110.0
_ACKNOWLEDGED_SECONDS = 40.0
# An API whose database was away for a moment answers by then.
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """``at_once``: migrations a fault; ``unwatched_every``: after so many faults one round goes
    unwatched (0: never), and one before all of them."""

    kinds: Sequence[Kind]
    count: int
    seed: int
    at_once: int
    unwatched_every: int


@dataclass(frozen=True, slots=True)
class Round:
    """A fault, the migrations during it, and the errors in their records."""

    kind: Kind
    struck_after_seconds: float
    truths: tuple[Truth, ...]
    findings: tuple[Finding, ...]
    took_seconds: float

    def count(self, wrong: Wrong) -> int:
        return sum(finding.wrong is wrong for finding in self.findings)


@dataclass(slots=True)
class Result:
    """The result. Durations are of completed migrations in rounds that delay none."""

    rounds: list[Round] = field(default_factory=list)
    watched_seconds: list[float] = field(default_factory=list)
    unwatched_seconds: list[float] = field(default_factory=list)


def deck(count: int, rng: random.Random, kinds: Sequence[Kind]) -> list[Kind]:
    """So many faults in an order by chance: of each kind as many as of any other, but for those
    that take long; one of each at least, if there are as many faults as kinds."""
    long = [kind for kind in kinds if kind.takes_long for _ in range(max(1, count // _LONG_ONE_IN))]
    short = [kind for kind in kinds if not kind.takes_long] or long
    drawn = long + [short[number % len(short)] for number in range(count)]
    drawn = drawn[:count]
    rng.shuffle(drawn)
    return drawn


class Run:
    """Run faults at a site, one after the other; call ``say`` after each."""

    def __init__(
        self, site: Site, reader: ApiReader, settings: Settings, say: Callable[[str], None]
    ) -> None:
        self._site = site
        self._watcher = reader
        self._settings = settings
        self._say = say
        self._rng = random.Random(settings.seed)
        self._fleet = Fleet(site.lab, settings.at_once + _SPARE_GUESTS)
        self._judged_ids: set[int] = set()
        self._judged_servers: set[str] = set()
        self.result = Result()

    def run(self) -> Result:
        """Run all faults."""
        settings = self._settings
        kinds = deck(settings.count, self._rng, settings.kinds)
        self._unwatched()
        self._site.start_agents()
        for number, kind in enumerate(kinds, 1):
            done = self._round(kind)
            if number == len(kinds):
                done = dataclasses.replace(done, findings=(*done.findings, *self._late()))
            self.result.rounds.append(done)
            self._say(f"{number:4}/{len(kinds)}  {line(done)}")
            if settings.unwatched_every and number % settings.unwatched_every == 0:
                self._site.stop_agents()
                self._unwatched()
                self._site.start_agents()
        return self.result

    def _unwatched(self) -> None:
        """Run the same migrations without agents."""
        plans = traffic.plan(self._rng, self._guests, self._settings.at_once, _WITHIN_SECONDS)
        journeys = self._fleet.set_out(
            [traffic.Plan(p.guest, p.begins_after_seconds) for p in plans]
        )
        truths = _truths(journeys)
        self._fleet.look()
        self.result.unwatched_seconds += _seconds(truths)
        self._say(f"unwatched  {', '.join(f'{seconds:.1f} s' for seconds in _seconds(truths))}")

    @property
    def _guests(self) -> int:
        return self._settings.at_once + _SPARE_GUESTS

    def _round(self, kind: Kind) -> Round:
        begun = time.monotonic()
        within = max(_WITHIN_SECONDS, (kind.seconds or (0.0, 0.0))[0])
        plans = traffic.plan(self._rng, self._guests, self._settings.at_once, within)
        strikes_after = self._rng.uniform(*_STRIKES_SECONDS)
        seconds = self._rng.uniform(*kind.seconds) if kind.seconds else None
        self._site.outages.clear()
        journeys = self._fleet.set_out(plans)
        time.sleep(strikes_after)
        if kind.holds_up:
            for journey in journeys:
                journey.flows.wait()
        with kind.strike(self._site, self._rng, journeys):
            if seconds is None:
                for journey in journeys:
                    journey.join()
            else:
                time.sleep(seconds)
        truths = _truths(journeys)
        self._fleet.look()
        findings = self._judge(truths)
        if not kind.holds_up:
            self.result.watched_seconds += _seconds(truths)
        took = time.monotonic() - begun
        return Round(kind, strikes_after, tuple(truths), tuple(findings), took)

    def _judge(self, truths: Sequence[Truth]) -> list[Finding]:
        self._wait_for(lambda: self._is_settled(truths), _SETTLED_SECONDS, "the records")
        # Of the next fault's round this one is no part.
        self._wait_for(
            lambda: not any(agent.keeps_something for agent in self._site.agents),
            _ACKNOWLEDGED_SECONDS,
            "all to be acknowledged",
        )
        seen = self._watcher.take()
        outages = self._site.outages
        findings = judge.percents_back(seen) + judge.errors_beyond(seen, outages)
        for truth in truths:
            records = self._records(truth.server_uuid)
            findings += judge.judge(truth, records, outages)
            if records:
                server = self._site.deployment.server(truth.server_uuid)
                findings += judge.does_not_speak(truth, records, server)
            self._judged_servers.add(truth.server_uuid)
            self._judged_ids |= {record["id"] for record in records}
        return findings

    def _late(self) -> list[Finding]:
        """Return records that were stored after their round."""
        return [
            Finding(Wrong.DUPLICATED, f"{server_uuid} has record {record['id']} besides")
            for server_uuid in sorted(self._judged_servers)
            for record in self._records(server_uuid)
        ]

    def _wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        try:
            processes.wait_for(condition, seconds, what)
        except TimeoutError as error:
            self._say(f"      {error}")

    def _is_settled(self, truths: Sequence[Truth]) -> bool:
        return all(
            any(judge.is_settled(truth, each) for each in self._records(truth.server_uuid))
            for truth in truths
        )

    def _records(self, server_uuid: str) -> list[Record]:
        """Return a server's records that were not checked yet."""
        records = self._site.deployment.migrations(server_uuid)
        return [record for record in records if record["id"] not in self._judged_ids]


def line(done: Round) -> str:
    """Return the result of a round as a line."""
    endings = [truth.ending for truth in done.truths]
    became = ", ".join(f"{endings.count(e)} {e}" for e in Ending if e in endings)
    verdict = "; ".join(f"{each.wrong.upper()}: {each.text}" for each in done.findings) or "right"
    return (
        f"{done.kind.name} after {done.struck_after_seconds:.1f} s"
        f"  {became or 'none began'}: {verdict}  ({done.took_seconds:.0f} s)"
    )


def _truths(journeys: Sequence[Journey]) -> list[Truth]:
    truths = [journey.truth() for journey in journeys]
    return [truth for truth in truths if truth is not None]


def _seconds(truths: Sequence[Truth]) -> list[float]:
    return [
        truth.stats["time_elapsed"] / 1000
        for truth in truths
        if truth.ending is Ending.COMPLETED and truth.stats
    ]

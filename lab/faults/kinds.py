# SPDX-License-Identifier: Apache-2.0
"""The kinds of fault: what fails, for how long, and how it is restored."""

import contextlib
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from lab.faults.clock import TAKEN_UP_SECONDS
from lab.faults.ground_truth import Part
from lab.faults.report_repeater import Repeater
from lab.faults.site import Site
from lab.faults.traffic import Journey
from lab.parts import small_disk
from lab.parts.deployment import wait_for_output

_HOUR_SECONDS = 3600
# Its start, the ten seconds for which it waits for the first one to end, and its end.
_REFUSED_SECONDS = 60.0
_NOTICED_SECONDS = 6.0
# Between the end of a libvirtd and its next start.
_LIBVIRT_AWAY_SECONDS = (0.0, 2.0)

Strike = Callable[[Site, random.Random, Sequence[Journey]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. It is broken while the block of ``strike`` lasts: ``seconds``, from and to,
    or where that is None until all migrations are over.

    ``holds_up``: it is libvirt's or QEMU's, so that migrations themselves take longer.
    ``takes_long``: it is struck more seldom.
    """

    name: str
    strike: Strike
    seconds: tuple[float, float] | None
    holds_up: bool = False
    takes_long: bool = False


@contextlib.contextmanager
def _agent_killed(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    agent = rng.choice(site.agents)
    with site.agent_killed(agent):
        yield


@contextlib.contextmanager
def _conductor_killed(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    conductor = rng.choice(site.conductors)
    conductor.kill()
    yield
    conductor.start()
    wait_for_output(conductor, "takes reports")


@contextlib.contextmanager
def _conductors_killed(
    site: Site, _rng: random.Random, _on_way: Sequence[Journey]
) -> Iterator[None]:
    for conductor in site.conductors:
        conductor.kill()
    yield
    for conductor in site.conductors:
        conductor.start()
    for conductor in site.conductors:
        wait_for_output(conductor, "takes reports")


@contextlib.contextmanager
def _api_killed(site: Site, _rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    site.deployment.api_program.kill()
    yield
    site.deployment.api_program.start()
    site.deployment.wait_for_api()


@contextlib.contextmanager
def _broker_killed(site: Site, _rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    site.broker.program.kill()
    yield
    site.broker.start_again()


@contextlib.contextmanager
def _broker_stopped(site: Site, _rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    site.broker.control("stop_app")
    yield
    site.broker.control("start_app")


@contextlib.contextmanager
def _database_killed(site: Site, _rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    with site.outage(Part.DATABASE):
        site.database.program.kill()
        yield
        site.database.start_again()


@contextlib.contextmanager
def _database_silent(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    """In half of the cases only for the existing connections, and for good."""
    network = site.database_network
    with site.outage(Part.DATABASE):
        if rng.random() < 0.5:
            network.silence()
            yield
            # They find out within [database_timeouts] connect.
            time.sleep(_NOTICED_SECONDS)
        else:
            network.cut()
            yield
            network.mend(forgotten=rng.random() < 0.5)


@contextlib.contextmanager
def _keystone_hung(site: Site, _rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    """And asked for as many unknown tokens as the API has threads."""
    with site.behind_keystone.keystone_hung():
        yield


@contextlib.contextmanager
def _libvirt_restarted(
    site: Site, rng: random.Random, _on_way: Sequence[Journey]
) -> Iterator[None]:
    host = rng.choice(site.lab.hosts)
    with site.outage(Part.LIBVIRT, host):
        kill, away_seconds = rng.random() < 0.5, rng.uniform(*_LIBVIRT_AWAY_SECONDS)
        site.restart_libvirt(host, kill, away_seconds)
    yield


@contextlib.contextmanager
def _qemu_hung(site: Site, rng: random.Random, on_way: Sequence[Journey]) -> Iterator[None]:
    hung = None
    for journey in rng.sample(on_way, len(on_way)):
        # One that is over has no QEMU there any more.
        with contextlib.suppress(OSError):
            if not journey.is_over:
                journey.source.signal_guest(journey.server.name, signal.SIGSTOP)
                hung = journey
                break
    yield
    if hung is not None:
        hung.source.signal_guest(hung.server.name, signal.SIGCONT)


@contextlib.contextmanager
def _network_cut(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    network = rng.choice(site.agents).network
    network.cut()
    yield
    network.mend(forgotten=rng.random() < 0.5)


@contextlib.contextmanager
def _state_dir_full(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    filler = small_disk.fill(rng.choice(site.agents).state)
    yield
    filler.unlink()


@contextlib.contextmanager
def _clock_set_back(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    clock = rng.choice(site.agents).clock
    clock.set_forward(-_HOUR_SECONDS)
    yield
    clock.set_forward(0)
    # What comes next is another fault's.
    time.sleep(TAKEN_UP_SECONDS)


@contextlib.contextmanager
def _clock_set_forward(
    site: Site, rng: random.Random, _on_way: Sequence[Journey]
) -> Iterator[None]:
    """Its agent is started again: one that runs goes on by the clock that it began with. So the
    next faults meet an agent that is an hour ahead, until one of them has it started again."""
    agent = rng.choice(site.agents)
    agent.clock.set_forward(_HOUR_SECONDS)
    with site.agent_killed(agent):
        pass
    yield
    agent.clock.set_forward(0)
    time.sleep(TAKEN_UP_SECONDS)


@contextlib.contextmanager
def _reports_repeated(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    with Repeater(site.broker.url, random.Random(rng.random())) as repeater:
        yield
    if not repeater.sent_again:
        raise RuntimeError("no report was received, so none was sent again")


@contextlib.contextmanager
def _second_agent(site: Site, rng: random.Random, _on_way: Sequence[Journey]) -> Iterator[None]:
    """One more agent of a host, with a state directory of its own: it must end by itself."""
    with site.second_agent(rng.choice(site.agents).host) as second:
        yield
        if second.process.wait(_REFUSED_SECONDS) != 1:
            raise RuntimeError(f"a second agent was not refused:\n{second.output()}")


def every(stopped_seconds: float) -> tuple[Kind, ...]:
    """All of them; RabbitMQ is stopped for so long, while migrations begin and end."""
    return (
        Kind("agent killed", _agent_killed, (0.0, 4.0)),
        Kind("conductor killed, one of two", _conductor_killed, (0.0, 3.0)),
        Kind("conductors killed, both", _conductors_killed, (0.0, 4.0)),
        Kind("API killed", _api_killed, (0.0, 2.0)),
        Kind("RabbitMQ killed", _broker_killed, (0.0, 2.0)),
        Kind("RabbitMQ stopped", _broker_stopped, (stopped_seconds,) * 2, takes_long=True),
        Kind("MariaDB killed", _database_killed, (0.0, 3.0)),
        Kind("MariaDB silent", _database_silent, (1.0, 8.0)),
        Kind("Keystone hung", _keystone_hung, (1.0, 8.0)),
        Kind("libvirtd restarted", _libvirt_restarted, (0.0, 0.0), holds_up=True),
        Kind("QEMU hung", _qemu_hung, (1.0, 4.0), holds_up=True),
        Kind("agent's network cut", _network_cut, (1.0, 6.0)),
        Kind("state directory full", _state_dir_full, None),
        Kind("clock set back by an hour", _clock_set_back, None),
        Kind("clock set forward by an hour", _clock_set_forward, None),
        Kind("reports repeated and reordered", _reports_repeated, None),
        Kind("second agent", _second_agent, (0.0, 3.0)),
    )

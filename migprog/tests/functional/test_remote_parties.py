# SPDX-License-Identifier: Apache-2.0
"""The table of remote parties: each cell is provoked, and the documentation has what came of it."""

import functools
import inspect
import json
import subprocess
import sys
import time

import pytest

from lab.hosts import Lab
from migprog.tests.functional import parties
from migprog.tests.functional.parties import CELLS, SHORT, SLACK_SECONDS

pytestmark = pytest.mark.functional


def _asking_for(*names):
    """The cells that take these arguments."""
    return [
        pytest.param(each, id=each.name, marks=[pytest.mark.long] * each.long)
        for each in CELLS
        if tuple(inspect.signature(each.provoke).parameters) == names
    ]


def within_its_time(each, provoke):
    begun = time.monotonic()
    provoke()
    assert time.monotonic() - begun <= 2 * each.within(SHORT) + SLACK_SECONDS


@pytest.mark.parametrize("each", _asking_for("database"))
@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_process_recovers_in_time_from_faults_of_the_database(request, kind, each):
    server = request.getfixturevalue(f"{kind}_server")
    with parties.database.database(server) as database:
        within_its_time(each, functools.partial(each.provoke, database))


@pytest.fixture(scope="module")
def apart(rabbitmq_broker):
    """Provokes a cell of the broker, by its name, in a process of these cells' own."""
    broker = [rabbitmq_broker.url, str(rabbitmq_broker.program.process.pid)]
    command = [sys.executable, "-W", "ignore", "-m", f"{parties.__name__}.apart", *broker]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def answer():
            line = process.stdout.readline()
            assert line, "the process has ended"
            return json.loads(line)

        def provoke(name):
            print(name, file=process.stdin, flush=True)
            if error := answer():
                pytest.fail(error, pytrace=False)

        answer()
        yield provoke
        process.stdin.close()


@pytest.mark.parametrize("each", _asking_for("broker"))
def test_process_recovers_in_time_from_faults_of_the_broker(apart, each):
    within_its_time(each, functools.partial(apart, each.name))


@pytest.fixture(scope="module")
def hosts():
    with Lab(hosts=("party-a", "party-b")) as lab:
        yield lab


@pytest.mark.parametrize("each", _asking_for("hosts"))
def test_agent_recovers_in_time_from_faults_of_libvirt(hosts, each):
    # Each waits for its own steps: most of the time is the host's, which it needs to get ready.
    each.provoke(hosts)


@pytest.mark.parametrize("each", _asking_for())
def test_process_recovers_in_time_from_faults_of_other_parties(each):
    within_its_time(each, each.provoke)


def test_table_has_every_fault_of_every_party_for_each_process():
    faults: dict[tuple[str, str], set[str]] = {}
    for each in CELLS:
        faults.setdefault((each.party, each.process), set()).add(each.fault)
    needed = {"away", "refuses", "silent", "slow"}
    assert {key: needed - has for key, has in faults.items() if needed - has} == {}
    assert set(faults) >= {
        *(("database", process) for process in ("conductor", "API")),
        *(("broker", process) for process in ("agent", "conductor", "API, an action")),
        *(("Keystone", process) for process in ("conductor", "API")),
        *((party, process) for party, process in (("Nova", "conductor"), ("client", "API"))),
        *(("libvirt", process) for process in ("agent", "agent, an action")),
        ("libvirt by TCP", "agent"),
    }


def test_the_documentation_has_the_table():
    assert parties.CSV.read_text() == parties.rendered(), (
        "to write it again: python -m migprog.tests.functional.parties"
    )

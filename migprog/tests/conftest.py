# SPDX-License-Identifier: Apache-2.0
"""Which tests run, in which order, and which of them run beside others.

``tools/test`` shares the modules among several processes (pytest-xdist, ``--dist loadfile``): the
tests of a module run in one process, in their order, with the fixtures of that process: several may
have libvirt hosts, a broker and databases of their own. A process takes the next module when it has
two tests left, so that modules begin in the order made here.

A test marked ``long`` runs with ``--long`` only. While a test marked ``alone`` runs, no other test
of this checkout does. What a test draws at random it draws from the day, so that no two days are
the same and each can be had again; Hypothesis draws new examples with ``--long`` only, so that what
the short form refuses is the change that was made.
"""

import datetime
import fcntl
import gc
import itertools
import os
import pathlib
import random
import re
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from migprog import concurrency

# As the commands have it: what is imported from here on finds threads, and no eventlet.
concurrency.prefer_threads()

from migprog.tests import process_state  # noqa: E402

# How fast an example is says something of the machine, nothing of the code.
hypothesis.settings.register_profile(
    "long", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "short", hypothesis.settings.get_profile("long"), derandomize=True
)

# Processes of pytest-xdist have it from the one that starts them, and so all have the same.
DAY = os.environ.setdefault("MIGPROG_TEST_DAY", datetime.datetime.now(datetime.UTC).strftime("%F"))

# How a module brings up libvirt hosts of its own, if it does not take the fixture.
_STARTS_LAB = re.compile(r"\bLab\(|\bfrom lab\.faults import\b")


# What is collected stays: looking for garbage in it would take a quarter of the collection, in
# each process.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")


def pytest_configure(config: pytest.Config) -> None:
    # A shell has what it starts in the background ignore it; programs of tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.load_profile("long" if config.getoption("--long") else "short")


def pytest_report_header() -> str:
    return f"MIGPROG_TEST_DAY={DAY}: draws what some tests try of much"


@pytest.fixture(autouse=True)
def _process_restored() -> Iterator[None]:
    """No test is the other's who comes first."""
    with process_state.restored():
        yield


@pytest.fixture
def of_the_day() -> random.Random:
    """Draws the same in each run of a day."""
    return random.Random(DAY)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    if hasattr(config, "workerinput"):
        items[:] = _in_order(items)


def _in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """By module: first those that use libvirt hosts, which mostly wait, each beside one of the
    other functional ones; then the short ones; last what runs alone."""
    modules: dict[pathlib.Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    kinds: dict[str, list[list[pytest.Item]]] = {"lab": [], "functional": [], "": [], "alone": []}
    for path, tests in modules.items():
        kinds[_kind(path, tests)].append(tests)
    pairs = itertools.zip_longest(kinds["lab"], kinds["functional"])
    beside = [tests for pair in pairs for tests in pair if tests]
    return [test for tests in (*beside, *kinds[""], *kinds["alone"]) for test in tests]


def _kind(path: pathlib.Path, tests: list[pytest.Item]) -> str:
    if any(test.get_closest_marker("alone") for test in tests):
        return "alone"
    if path.parent.name != "functional":
        return ""
    fixtures = {name for test in tests for name in getattr(test, "fixturenames", ())}
    if "lab" in fixtures or _STARTS_LAB.search(path.read_text()):
        return "lab"
    return "functional"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold the lock of this checkout's tests: all share it, but for one that runs alone."""
    alone = item.get_closest_marker("alone") is not None
    with pathlib.Path(__file__).open() as lock:
        # The limit on a test's time does not count yet.
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            return (yield)
        finally:
            # A child that was forked meanwhile has it open, too.
            fcntl.flock(lock, fcntl.LOCK_UN)

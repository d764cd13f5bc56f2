# SPDX-License-Identifier: Apache-2.0
"""Each backend in a process of its own: a choice is made once."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from migprog import concurrency
assert concurrency.choose() == {backend!r}
import os, threading, time
inbox = concurrency.Inbox()

# Real threads that block do not hold up (green) ones, and are heard by them.
blocks, releases = os.pipe()
def natively():
    concurrency._original("os").read(blocks, 1)
    for number in range(100_000):
        inbox.put(number)

# If they did, this would never come to its end.
def tick():
    for _ in range(5):
        time.sleep(0.01)
    os.write(releases, b"x")

concurrency.native_thread(natively, "native")
ticker = threading.Thread(target=tick)
ticker.start()
got = []
while len(got) < 100_000:
    got += inbox.get_all(5)
assert got == list(range(100_000))
ticker.join()
assert inbox.get_all(0.01) == []
"""


CLOSED = """
import os
from migprog import concurrency
concurrency.choose()
inbox = concurrency.Inbox()
inbox.close()
# Who opens files next gets their numbers.
reader, writer = os.pipe()
os.set_blocking(reader, False)
inbox.put("late")
try:
    print(concurrency._original("os").read(reader, 10))
except BlockingIOError:
    print("nothing was written")
"""


def run(backend, program):
    environment = os.environ | {"MIGPROG_CONCURRENCY": backend}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("backend", ["eventlet", "threading"])
def test_real_threads_hand_over_to_either_backend(backend):
    result = run(backend, PROGRAM.format(backend=backend))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("backend", ["eventlet", "threading"])
def test_what_is_put_into_a_closed_inbox_is_written_to_nobodys_file(backend):
    result = run(backend, CLOSED)
    assert (result.stdout, result.returncode) == ("nothing was written\n", 0), result.stderr


def test_any_other_backend_is_refused_by_name():
    result = run("asyncio", "from migprog import concurrency; concurrency.choose()")
    assert result.returncode != 0
    assert "MIGPROG_CONCURRENCY: 'asyncio' must be one of: eventlet, threading" in result.stderr


def test_backend_that_is_not_installed_is_one_line_with_what_to_install():
    program = "import sys; sys.modules['cotyledon'] = None\n"
    program += "from migprog import concurrency; concurrency.choose()"
    result = run("threading", program)
    assert result.returncode == 1
    assert "pip install 'migprog[threading]', or set it to eventlet" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_load_test_runs_where_oslo_service_has_no_threads():
    program = "import sys; sys.modules['cotyledon'] = None\n"
    program += "from migprog.cmd import loadtest; loadtest.main(['--version'])"
    result = run("eventlet", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_eventlet_is_the_default():
    environment = {k: v for k, v in os.environ.items() if k != "MIGPROG_CONCURRENCY"}
    program = "from migprog import concurrency; print(concurrency.choose())"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.strip() == "eventlet"

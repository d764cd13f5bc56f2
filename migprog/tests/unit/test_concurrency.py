# SPDX-License-Identifier: Apache-2.0
"""Each backend in a process of its own: a choice is made once."""

import os
import queue
import subprocess
import sys

import pytest

from migprog import concurrency

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
import queue
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
    environment = {k: v for k, v in os.environ.items() if k != "MIGPROG_CONCURRENCY"}
    if backend is not None:
        environment["MIGPROG_CONCURRENCY"] = backend
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("backend", ["eventlet", "threading"])
def test_real_threads_put_results_into_either_backend(backend):
    result = run(backend, PROGRAM.format(backend=backend))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("backend", ["eventlet", "threading"])
def test_message_to_a_closed_inbox_is_not_written_to_a_reused_descriptor(backend):
    result = run(backend, CLOSED)
    assert (result.stdout, result.returncode) == ("nothing was written\n", 0), result.stderr


OLDER = """
from migprog import concurrency
concurrency._oslo_service = lambda: "4.1.2"
print(concurrency.choose(), "because", concurrency.why_green())
"""


def test_threads_are_the_default():
    result = run(None, "from migprog import concurrency; print(concurrency.choose())")
    assert (result.stdout, result.stderr) == ("threading\n", "")


def test_eventlet_is_the_default_with_an_oslo_service_that_has_no_threads():
    result = run(None, OLDER)
    assert result.stdout == (
        "eventlet because the installed oslo.service 4.1.2 has no threads; 4.2 (OpenStack 2025.2) "
        "is the first\n"
    )


def test_threads_are_refused_with_an_oslo_service_that_has_none():
    result = run("threading", OLDER)
    assert result.returncode == 1
    assert result.stderr == (
        "threads are not possible with the installed oslo.service 4.1.2: 4.2 (OpenStack 2025.2) is "
        "the first with them; unset MIGPROG_CONCURRENCY, or set it to eventlet\n"
    )


@pytest.mark.parametrize("backend", [None, "threading"])
def test_libraries_do_not_import_eventlet_with_threads(backend):
    program = """
from migprog import concurrency
concurrency.choose()
import sys
import keystonemiddleware.auth_token, oslo_log.log, oslo_messaging, oslo_service.service
print(sorted(name for name in sys.modules if name.startswith("eventlet.")), sys.modules["eventlet"])
"""
    result = run(backend, program)
    assert (result.stdout, result.stderr) == ("[] None\n", "")


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("", "False BackendType.THREADING"),
        ("import eventlet; eventlet.monkey_patch()", "True BackendType.EVENTLET"),
        ("import eventlet, oslo_messaging", "False BackendType.EVENTLET"),
    ],
    ids=["nothing", "a patched server", "a library"],
)
def test_prefer_threads_follows_what_is_there_before_it(first, expected):
    program = f"""
{first}
from migprog import concurrency
concurrency.prefer_threads()
from oslo_service import backend
print(concurrency.is_green(), backend.get_backend_type())
"""
    assert run("eventlet", program).stdout.strip() == expected


def test_any_other_backend_is_refused_by_name():
    result = run("asyncio", "from migprog import concurrency; concurrency.choose()")
    assert result.returncode != 0
    assert "MIGPROG_CONCURRENCY: 'asyncio' must be one of: eventlet, threading" in result.stderr


def test_backend_that_is_not_installed_is_one_line_with_what_to_install():
    program = "import sys; sys.modules['cotyledon'] = None\n"
    program += "from migprog import concurrency; concurrency.choose()"
    result = run("threading", program)
    assert result.returncode == 1
    assert "pip install 'oslo.service[threading]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_load_test_runs_where_oslo_service_has_no_threads():
    program = "from migprog import concurrency; concurrency._oslo_service = lambda: '4.1.2'\n"
    program += "from migprog.cmd import loadtest; loadtest.main(['--version'])"
    result = run("eventlet", program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seconds", [1e-9, 1e-6, 1e-3])
def test_native_queue_and_sleep_end_after_the_shortest_time(seconds):
    for _ in range(100):
        with pytest.raises(queue.Empty):
            concurrency.native_queue().get(timeout=seconds)
        concurrency.native_sleep(seconds)


def test_native_queue_returns_what_was_put():
    items = concurrency.native_queue()
    items.put(1)
    items.put(2)
    assert (items.get(timeout=5), items.get()) == (1, 2)
    with pytest.raises(queue.Empty):
        items.get(timeout=0)

# SPDX-License-Identifier: Apache-2.0
"""What systemd is told by a process, on both backends, and by the loops of each service."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from lab.parts.processes import wait_for
from migprog import httpd, loops
from migprog.conductor.batcher import ReportBatcher
from migprog.systemd import Notifier, Status

_SECONDS = 30.0
_WATCHDOG_USEC = 300_000
# Its loop turns, its service serves and its start returns when a line of the input says so.
PROGRAM = """
from migprog import concurrency
concurrency.choose()
import logging, os, sys, threading
from migprog import conf, loops, outages, service, systemd

go = {name: threading.Event() for name in ("serve", "hang", "turn")}
party = outages.party(logging.getLogger("x"), "database x", "nothing is stored", "check it")
assert "NOTIFY_SOCKET" in os.environ

def read():
    # A thread of the system: eventlet has no other way to read a pipe.
    for line in iter(lambda: os.read(0, 100), b""):
        inbox.put(line)

inbox = concurrency.Inbox()
concurrency.native_thread(read, "read")

def loop():
    with loops.turning("the loop", late_seconds=0.5) as turns:
        while True:
            for line in inbox.get_all(0.1):
                go[line.decode().strip()].set()
                if line == b"hang\\n":
                    while inbox.get_all(60) != [b"turn\\n"]:
                        pass
            turns.turned()

class Service:
    def start(self):
        threading.Thread(target=loop, daemon=True).start()
        with party.awaited():
            go["serve"].wait()
    def stop(self):
        pass
    def reload(self, config):
        pass
    def status(self):
        serves = go["serve"].is_set()
        return systemd.Status(serves, "serving" if serves else "starting")

config = conf.load([], "test")
service.run(config, Service())
"""


class Systemd:
    """The receiving end: what a process has sent."""

    def __init__(self, address: str) -> None:
        # As systemd names an abstract address to its services.
        self.name = address.replace("\0", "@")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(_SECONDS)
        self.seen: list[str] = []

    def next(self) -> str:
        self.seen.append(self.socket.recv(4096).decode())
        return self.seen[-1]

    def until(self, message: str) -> list[str]:
        """What comes before and with a message."""
        before = len(self.seen)
        while self.next() != message:
            pass
        return self.seen[before:]


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    path = tmp_path / "notify"
    address = str(path) if request.param == "path" else f"\0{path}"
    manager = Systemd(address)
    yield manager
    manager.socket.close()


@pytest.fixture(params=["eventlet", "threading"])
def program(request, tmp_path):
    manager = Systemd(str(tmp_path / "notify"))
    with manager.socket, contextlib.ExitStack() as cleanup:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            env=os.environ
            | {
                "MIGPROG_CONCURRENCY": request.param,
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                "WATCHDOG_USEC": str(_WATCHDOG_USEC),
            },
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        cleanup.callback(process.communicate)
        cleanup.callback(process.kill)

        def say(line: str) -> None:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

        yield process, manager, say


def test_process_is_ready_once_it_serves_and_a_waiting_start_stops_no_watchdog(program):
    process, manager, say = program
    for _ in range(3):
        manager.until("WATCHDOG=1")
    assert "READY=1" not in manager.seen
    statuses = [each for each in manager.seen if each.startswith("STATUS=")]
    assert statuses[-1].startswith("STATUS=starting; waiting for: database x, no answer for")
    say("serve")
    manager.until("READY=1")
    manager.until("STATUS=serving")
    process.send_signal(signal.SIGHUP)
    (reloading,) = [each for each in manager.until("READY=1") if each.startswith("RELOADING=1\n")]
    assert int(reloading.partition("MONOTONIC_USEC=")[2]) <= time.monotonic_ns() // 1000
    process.send_signal(signal.SIGTERM)
    manager.until("STOPPING=1\nSTATUS=stopping")
    assert process.wait(_SECONDS) == 0


def test_process_whose_loop_hangs_stops_feeding_the_watchdog(program):
    process, manager, say = program
    say("serve")
    manager.until("STATUS=serving")
    say("hang")
    line = process.stderr.readline()
    while "hangs" not in line:
        line = process.stderr.readline()
    assert re.search(r"hangs: no turn of the loop \([\d.]+ m?s\); systemd restarts it soon", line)
    manager.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            manager.next()
    manager.socket.settimeout(3 * _WATCHDOG_USEC / 1e6)
    with pytest.raises(TimeoutError):
        manager.next()
    say("turn")
    manager.socket.settimeout(_SECONDS)
    assert manager.next() == "WATCHDOG=1"


def test_process_that_systemd_did_not_start_sends_nothing():
    notifier = Notifier({})
    notifier.look(lambda: pytest.fail("asked for its status"))
    notifier.stopping()
    assert notifier.seconds >= 10


def test_status_is_one_bounded_line_and_sent_when_it_changes(manager):
    environment = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}
    notifier = Notifier(environment)
    assert environment == {}, "children must not speak for their parent"
    statuses = [Status(False, text) for text in ("a\nREADY=1", "a\nREADY=1", "b" * 5000)]
    for status in [*statuses, Status(True, "c")]:
        notifier.look(partial(_same, status))
    notifier.stopping()
    assert manager.until("STOPPING=1\nSTATUS=stopping") == [
        "STATUS=a READY=1",
        f"STATUS={'b' * 400}",
        "READY=1",
        "STATUS=c",
        # And no WATCHDOG=1: the watchdog is that of another process.
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_systemd_that_receives_nothing_stops_nothing(manager):
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    for number in range(10_000):
        notifier.look(partial(_same, Status(True, str(number))))
    manager.socket.close()
    notifier.look(lambda: Status(True, "nobody is there"))


def _same(status: Status) -> Status:
    return status


def _late_after(seconds: float) -> list[str]:
    return loops.late(time.monotonic() + seconds)


def _turns_after(begun: float, late_seconds: float) -> bool:
    """Whether every loop has turned since ``begun``."""
    return not loops.late(begun + late_seconds)


def test_loop_that_an_exception_ends_becomes_late():
    before = _late_after(60)
    with contextlib.suppress(ZeroDivisionError), loops.turning("a loop"):
        raise ZeroDivisionError
    try:
        assert [each for each in _late_after(60) if each not in before] == ["a loop (1 min 00 s)"]
        assert _late_after(0) == []
    finally:
        loops._loops.clear()


def test_idle_report_batcher_turns(monkeypatch):
    monkeypatch.setattr(loops, "IDLE_SECONDS", 0.01)
    batcher = ReportBatcher(lambda batches: pytest.fail("there are none"))
    batcher.start()
    try:
        begun = time.monotonic()
        wait_for(lambda: _turns_after(begun, 300.0), _SECONDS, "a turn")
        assert any("the report batcher" in each for each in _late_after(301))
    finally:
        batcher.stop()
    assert _late_after(301) == []


def test_http_server_turns_while_all_its_threads_hang():
    asked, go = threading.Event(), threading.Event()

    def hang(environ, start_response):
        asked.set()
        go.wait(_SECONDS)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    server = httpd.Server(hang, "127.0.0.1", 0, 1, "[x] y")
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert asked.wait(_SECONDS)
            begun = time.monotonic()
            wait_for(lambda: _turns_after(begun, 45.0), _SECONDS, "a turn")
            assert any("the HTTP server of [x] y" in each for each in _late_after(46))
            go.set()
    finally:
        go.set()
        server.stop()


def test_late_loops_are_logged_once_each_time(manager, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "3000000"})
    with loops.turning("a loop", late_seconds=-1.0):
        for _ in range(2):
            notifier.look(lambda: Status(True, "serving"))
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert "systemd restarts it soon" in caplog.messages[0]
    notifier.look(lambda: Status(True, "serving"))
    assert manager.until("WATCHDOG=1") == ["READY=1", "STATUS=serving", "WATCHDOG=1"]


def test_late_loops_are_logged_without_systemd_and_so_is_their_recovery(caplog):
    caplog.set_level("INFO")
    notifier = Notifier({})
    assert notifier.seconds <= 15
    with loops.turning("a loop", late_seconds=-1.0):
        notifier.look(lambda: pytest.fail("nobody asks for it"))
    notifier.look(lambda: pytest.fail("nobody asks for it"))
    assert [each.levelname for each in caplog.records] == ["ERROR", "INFO"]
    assert re.search(r"no turn of a loop \([\d.]+ m?s\); restart it", caplog.messages[0])


def test_loop_that_fails_is_logged_once_and_ends_its_process(caplog):
    def fails(loop):
        raise ZeroDivisionError("so")

    failures: list[Exception] = []
    loops.run("a loop", fails, failures.append)
    try:
        assert [str(each) for each in failures] == ["a loop has failed: ZeroDivisionError: so"]
        assert [each.levelname for each in caplog.records] == ["ERROR"]
        assert any("a loop" in each for each in _late_after(60))
    finally:
        loops._loops.clear()

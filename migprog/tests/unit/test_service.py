# SPDX-License-Identifier: Apache-2.0
"""Processes that get SIGTERM, each on both backends."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
from migprog import concurrency
concurrency.choose()
import sys, threading
from oslo_config import cfg
from migprog import conf, exception, service, systemd

class Service:
    def start(self):
        print("started", flush=True)
        if {how!r} == "hangs":
            threading.Event().wait()
        if {how!r} == "fails":
            raise exception.ConfigError("[x] y: is impossible")
        if {how!r} == "fails later":
            threading.Timer(0.1, service.fail, [exception.AnotherAgent("a second one")]).start()
    def stop(self):
        print("stopped", flush=True)
    def reload(self, config):
        print("reloaded", config.compute.poll_interval, flush=True)
    def status(self):
        return systemd.Status(True, "")

try:
    config = conf.load(sys.argv[1:], "test")
    service.run(config, Service())
except exception.MigprogError as error:
    print(error)
    sys.exit(1)
"""


@pytest.fixture(params=["eventlet", "threading"])
def run(request, tmp_path):
    """Starts the program with a service that behaves in some way; kills it after the test."""
    running = []
    config = tmp_path / "migprog.conf"
    config.write_text("[compute]\npoll_interval = 1\n")

    def start(how):
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM.format(how=how)]
        running.append(
            subprocess.Popen(
                [*command, "--config-file", str(config)],
                env=os.environ | {"MIGPROG_CONCURRENCY": request.param},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        assert running[0].stdout.readline() == "started\n"
        return running[0], config

    yield start
    for process in running:
        process.kill()
        process.communicate()


def rest_of(stream, process):
    """All that is still said, after what was read before; communicate() would lose some of it."""
    said = stream.read()
    process.wait(timeout=30)
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_stops_in_order(run, number):
    process, _ = run("well")
    process.send_signal(number)
    assert rest_of(process.stdout, process) == "stopped\n"
    assert process.returncode == 0


def test_service_stops_while_its_start_hangs(run):
    process, _ = run("hangs")
    process.send_signal(signal.SIGTERM)
    assert "stopped before the start was complete" in rest_of(process.stderr, process)
    assert process.returncode == 0


def test_failed_start_ends_the_service_with_the_reason(run):
    process, _ = run("fails")
    assert rest_of(process.stdout, process) == "stopped\n[x] y: is impossible\n"
    assert process.returncode == 1


def test_failure_after_the_start_ends_the_service_with_the_reason(run):
    process, _ = run("fails later")
    assert rest_of(process.stdout, process) == "stopped\na second one\n"
    assert process.returncode == 1


def test_sighup_applies_mutable_options_only(run):
    process, config = run("well")
    config.write_text("[compute]\npoll_interval = 2\n")
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "reloaded 2.0\n"
    config.write_text("[compute]\npoll_interval = 2000\n")
    process.send_signal(signal.SIGHUP)
    # Signals are taken in order: had it been taken up, that would have been said before.
    config_was_read = process.stderr
    while "is not applied: [compute] poll_interval" not in config_was_read.readline():
        assert process.poll() is None
    config.write_text("[compute]\npoll_interval = 3\n")
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "reloaded 3.0\n"

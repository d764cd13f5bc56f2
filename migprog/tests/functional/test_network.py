# SPDX-License-Identifier: Apache-2.0
"""The way from an agent to the broker: cut for a while, and mended at the worst of times."""

import os
import subprocess
import sys

import pytest

from lab.faults.relay import Relay

pytestmark = [pytest.mark.functional, pytest.mark.timeout(150)]
# In a process of its own, as a concurrency backend is chosen once. All that it logs goes to its
# output. There is no conductor: what the broker has taken is not answered in time.
_AGENT = """
import logging, sys, time
from migprog import concurrency
concurrency.choose()
from oslo_config import cfg
from migprog import rpc
from migprog.rpc import conductor as rpcapi

logging.basicConfig(stream=sys.stdout)
cfg.CONF([], default_config_files=[], default_config_dirs=[])
conductor = rpcapi.ConductorAPI(rpc.transport(cfg.CONF, sys.argv[1]), 2)

def is_taken():
    try:
        conductor.report({}, acknowledged=True)
    except rpcapi.Unreachable as error:
        return error.is_silence

def wait_until_taken():
    give_up_at = time.monotonic() + 60
    while not is_taken():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.1)

wait_until_taken()
print("goes on", flush=True)
for line in sys.stdin:
    is_taken()
    wait_until_taken()
    print("goes on", flush=True)
"""


def wait_for_line(agent, text):
    said = []
    for line in agent.stdout:
        said.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} was not said:\n{''.join(said)}")


def test_reports_arrive_once_the_network_is_back(rabbitmq_broker):
    with Relay(rabbitmq_broker.port) as network:
        url = f"rabbit://guest:guest@127.0.0.1:{network.port}/"
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _AGENT, url],
            env=os.environ | {"MIGPROG_CONCURRENCY": "threading"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as agent:
            wait_for_line(agent, "goes on")
            # Once it has a new channel, and then it would go on with one that it has closed.
            for _ in range(2):
                network.cut()
                print(file=agent.stdin, flush=True)
                # It takes leave of the channel now.
                wait_for_line(agent, "Failed to publish")
                network.mend(forgotten=False)
                wait_for_line(agent, "goes on")
            agent.stdin.close()

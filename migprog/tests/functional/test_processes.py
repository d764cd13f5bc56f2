# SPDX-License-Identifier: Apache-2.0
"""What the functional tests run their programs with."""

import json
import subprocess
import sys

from lab.parts import processes

_TAKES = """
import json, sys
from lab.parts import processes
print(json.dumps(processes.free_ports(120)), flush=True)
sys.stdin.read()
"""


def test_no_process_is_given_a_port_of_another():
    """Not even while nothing listens there yet."""
    command = [sys.executable, "-c", _TAKES]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)
    ]
    ports = [json.loads(process.stdout.readline()) for process in running]
    ports.append(processes.free_ports(120))
    for process in running:
        process.communicate()
    assert len({port for each in ports for port in each}) == 4 * 120

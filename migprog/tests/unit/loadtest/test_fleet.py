# SPDX-License-Identifier: Apache-2.0
"""The simulated hosts of one process are as independent as hosts are."""

import os
import subprocess
import sys

PROGRAM = """
import sys
from migprog.loadtest import fleet, plan, stream

load = plan.Load(hosts=9, per_host=1, interval_seconds=2.0, heartbeat_seconds=30.0,
                 poll_seconds=0.5, migration_seconds=300.0, seconds=1.0)
share = plan.Share(load=load, run="x", first=0, step=1, config_files=(sys.argv[1],),
                   recordings=stream.DEFAULT, changes_per_second=0.0, begin_at=0.0,
                   marks=(0.0, 0.0))
hosts = fleet.Fleet(share)._hosts
print(len(hosts), len({id(host.sender._conductor._calls) for host in hosts}))
"""


def test_calls_of_one_host_that_wait_hold_up_no_other_host(tmp_path):
    config = tmp_path / "migprog.conf"
    config.write_text("[DEFAULT]\ntransport_url = rabbit://127.0.0.1:1/\n")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(config)],
        env=os.environ | {"MIGPROG_CONCURRENCY": "threading"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["9", "9"]

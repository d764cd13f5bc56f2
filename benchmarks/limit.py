# SPDX-License-Identifier: Apache-2.0
"""How many migrations are kept up with, on a RabbitMQ and a durable MariaDB of its own.

    .venv/bin/python benchmarks/limit.py [--of FOLDER] [--driver mysqldb] [--hosts 200]

``--of`` names a checkout of another revision, whose code then runs in this environment. The search
is that of ``migprog-loadtest --find-limit``, and takes five to eight minutes: the nearer the limit
to ``--hosts``, the fewer. Progress is shown.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import no_eventlet  # noqa: F401

from lab.parts import broker, databases
from migprog.tests import stores

_RUN = "from migprog.cmd import loadtest; raise SystemExit(loadtest.main())"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--of", type=pathlib.Path, help="checkout; default: this one")
    parser.add_argument("--hosts", type=int, default=200, help="to begin with")
    parser.add_argument("--per-host", type=int, default=20)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="to measure each number of hosts"
    )
    parser.add_argument("--conductors", type=int, default=1)
    parser.add_argument("--driver", choices=["mysqldb"], help="default: PyMySQL")
    parser.add_argument("--not-durable", action="store_true", help="MariaDB may lose a second")
    options = parser.parse_args()
    with (
        broker.rabbitmq() as rabbitmq,
        databases.mariadb(durable=not options.not_durable) as mariadb,
        tempfile.TemporaryDirectory() as directory,
    ):
        url = mariadb.new_database()
        if options.driver is not None:
            url = stores.by_driver(url, options.driver)
        config_file = pathlib.Path(directory, "limit.conf")
        config_file.write_text(
            f"[DEFAULT]\ntransport_url = {rabbitmq.url}\n[database]\nconnection = {url}\n"
        )
        done = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-c", _RUN, "--config-file", config_file),
                *("--find-limit", "--hosts", str(options.hosts), "--json", "-"),
                *("--per-host", str(options.per_host), "--interval", str(options.interval)),
                *("--seconds", str(options.seconds), "--conductors", str(options.conductors)),
            ],
            # For rabbitmqctl; the current folder, and PYTHONPATH, come before what is installed.
            env={**os.environ, **rabbitmq.environment, "PYTHONPATH": str(options.of or "")},
            cwd=options.of,
            stdout=subprocess.PIPE,
            check=True,
        )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    print(f"{'hosts':>7}{'updates/s':>11}{'CPU ms':>9}{'age p95, s':>12}  kept up")
    for each in found:
        cpu_ms = each["cpu_ms_per_update"]["total"]
        print(
            f"{each['hosts']:7}{each['updates_per_second']:11.0f}{cpu_ms:9.2f}"
            f"{each['age_ms']['p95'] / 1000:12.2f}  {'yes' if each['kept_up'] else 'no'}"
        )
    most = max((each["hosts"] for each in found if each["kept_up"]), default=0)
    print(f"{most * options.per_host} migrations are kept up with")
    return 0


if __name__ == "__main__":
    sys.exit(main())

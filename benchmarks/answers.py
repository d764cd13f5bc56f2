# SPDX-License-Identifier: Apache-2.0
"""How many answers a second the API gives under uWSGI, with MariaDB and the clients beside it.

    .venv/bin/python benchmarks/answers.py [--count 1000000] [--seconds 5] [--processes 2]

What it takes besides: wrk (Debian), uWSGI (``pip install -r tools/benchmark-requirements.txt``).
The database is a private server, started for this and gone after it; no token is needed.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence

import requests

from lab.parts import databases, processes
from migprog.tests import plans, stores

_CONNECTIONS = 8
_START_SECONDS = 30.0
# Of a show, of a 304; the list's is in milliseconds.
_GOALS = {"show": 600.0, "show, 304": 1000.0}
_LIST = "list of 1000"
_GOAL_LIST_MS = 150.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="migrations stored")
    parser.add_argument("--seconds", type=int, default=5, help="for each question")
    parser.add_argument("--processes", type=int, default=2, help="of uWSGI")
    parser.add_argument("--driver", default="pymysql", help="of SQLAlchemy: pymysql, mysqldb")
    options = parser.parse_args(arguments)
    with (
        databases.mariadb() as server,
        tempfile.TemporaryDirectory(prefix="migprog-benchmark-") as directory,
    ):
        url = server.new_database()
        store = stores.ready(url)
        plans.fill(store, options.count)
        store.close()
        url = url.replace("+pymysql:", f"+{options.driver}:")
        (port,) = processes.free_ports(1)
        config = pathlib.Path(directory) / "migprog.conf"
        config.write_text(f"[api]\nauth_strategy = noauth\n[database]\nconnection = {url}\n")
        command = [
            *(str(pathlib.Path(sys.executable).with_name("uwsgi")), "--need-app", "--master"),
            *("--http-socket", f"127.0.0.1:{port}", "--wsgi", "migprog.wsgi:application"),
            *("--processes", str(options.processes), "--disable-logging", "--die-on-term"),
            *("--virtualenv", sys.prefix),
        ]
        with processes.running(command, directory, {"MIGPROG_CONFIG_FILE": str(config)}) as uwsgi:
            processes.wait_for_port(port, _START_SECONDS, uwsgi)
            return _measure(f"http://127.0.0.1:{port}", options.count, options.seconds)


def _measure(root: str, count: int, seconds: int) -> int:
    middle = str(uuid.UUID(int=0))[:-12]
    # The very numbers that plans.fill gives.
    number = count // 2
    show = f"{root}/servers/{middle}{number % (count // 5):012}/migrations/{middle}{number:012}"
    running = min(1000, count // plans.SHARE_UNDER_WAY)
    listed = f"{root}/migrations?in_progress=true&limit={running}"
    met = True
    print(f"{count} migrations; {_CONNECTIONS} connections\n{'':20} answers/s  ms (median)")
    for what, address in (("show", show), (_LIST, listed), ("drain", f"{root}/hosts/host-7/drain")):
        answer = requests.get(address, timeout=60)
        if answer.status_code != requests.codes.ok:
            print(f"{what}: {answer.status_code}")
            continue
        for tag in dict.fromkeys((None, answer.headers.get("ETag"))):
            name = what if tag is None else f"{what}, 304"
            connections = 1 if what == _LIST else _CONNECTIONS
            per_second, milliseconds = _wrk(address, tag, connections, seconds)
            print(f"{name:20} {per_second:9.0f} {milliseconds:9.2f}")
            met &= per_second >= _GOALS.get(name, 0)
            met &= name != _LIST or milliseconds <= _GOAL_LIST_MS
    print(f"\nthe goals are {'met' if met else 'NOT met'}")
    return 0 if met else 1


def _wrk(address: str, tag: str | None, connections: int, seconds: int) -> tuple[float, float]:
    """Answers a second, and the median of their milliseconds."""
    headers = [] if tag is None else ["-H", f"If-None-Match: {tag}"]
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    done = subprocess.run(
        ["wrk", *options, *headers, address], capture_output=True, text=True, check=True
    ).stdout
    assert "Non-2xx" not in done, done
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)\b", done)
    assert rate and median, done
    return float(rate[1]), float(median[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[median[2]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

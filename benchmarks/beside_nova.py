# SPDX-License-Identifier: Apache-2.0
"""An update of a migration's progress: ours beside Nova's own, both at their limit.

    .venv/bin/python benchmarks/beside_nova.py [--runs 5] [--durable] [--driver mysqldb]

Nova's is ``save_stats`` of Nova 34, as nova-compute calls it, with its nova-conductor (one worker);
there is no nova-compute around it. Both take turns with the same RabbitMQ and MariaDB. What counts
is the ratio of the processors' time that an update takes in all processes together. Nova is
installed into the cache of ``tools/nova-lab`` unless ``--environment`` names where it is.
"""

import argparse
import contextlib
import json
import os
import pathlib
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import no_eventlet  # noqa: F401
import path as whole_path
import psutil

from lab.nova import environments, service_config
from lab.parts import broker, databases
from migprog.loadtest import usage

HERE = pathlib.Path(__file__).parent
# Nova's conductor is at its limit with fewer.
_MIGRATIONS = 10
_WARM_UP_SECONDS = 5.0
# Nova's processes begin within that time on a busy machine.
_ANSWER_SECONDS = 120.0
_QUIET = {"PYTHONWARNINGS": "ignore"}


class Nova:
    """Nova's tables, and its conductor and compute's stand-in while they are measured."""

    def __init__(
        self, environment: pathlib.Path, transport_url: str, database: str, directory: pathlib.Path
    ) -> None:
        self._bin = environment / "bin"
        self._directory = directory
        sections: service_config.Sections = {
            "DEFAULT": {"transport_url": transport_url, "state_path": directory, "my_ip": "::1"},
            "database": {"connection": database},
            "conductor": {"workers": 1},
            "oslo_concurrency": {"lock_path": directory},
            # Its conductor wants to know where it is; nothing here asks it.
            "placement": {"auth_type": "none", "endpoint_override": "http://127.0.0.1:9"},
        }
        self._config_file = service_config.write(directory / "nova.conf", sections)
        sync = self._bin / "nova-manage"
        self._run(sync, "--config-file", self._config_file, "db", "sync", "--local_cell")
        self._ids = self._run(*self._side("make", str(_MIGRATIONS))).splitlines()[-1]

    def _run(self, *command: str | pathlib.Path) -> str:
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr[-3000:]}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # Nova's own choice for its commands that are not services.
        return {**os.environ, **_QUIET, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"}

    def _side(self, what: str, argument: str) -> list[str | pathlib.Path]:
        script = HERE / "nova_side.py"
        return [self._bin / "python", script, what, self._config_file, argument]

    def update(self, others: dict[str, list[psutil.Process]], seconds: float) -> dict[str, float]:
        """CPU milliseconds an update, by process, while it saves as fast as it can."""
        with (
            self._running(
                "conductor", self._bin / "nova-conductor", self._config_file
            ) as conductor,
            self._running("agent", *self._side("save", self._ids)) as agent,
        ):
            found = {"agent": [agent], "conductor": [conductor]}
            processes = {n: [psutil.Process(each.pid) for each in p] for n, p in found.items()}
            processes |= others
            # The first answers come when the conductor serves.
            while not self._saved(agent):
                time.sleep(0.2)
            time.sleep(_WARM_UP_SECONDS)
            saved, before = self._saved(agent), _cpu_seconds(processes)
            begun = time.monotonic()
            time.sleep(seconds)
            updates, after = self._saved(agent) - saved, _cpu_seconds(processes)
            lasted_seconds = time.monotonic() - begun
        cpu = {name: 1000 * (after[name] - before[name]) / updates for name in processes}
        return {"updates_per_second": updates / lasted_seconds, **cpu, "total": sum(cpu.values())}

    def _saved(self, agent: "subprocess.Popen[str]") -> int:
        assert agent.stdin is not None and agent.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            agent.stdin.write("\n")
            agent.stdin.flush()
        is_answered, _, _ = select.select([agent.stdout], [], [], _ANSWER_SECONDS)
        line = agent.stdout.readline() if is_answered else ""
        if not line:
            logs = [self._directory / f"{name}.log" for name in ("conductor", "agent")]
            ends = "\n".join(log.read_text()[-2000:] for log in logs)
            raise RuntimeError(f"Nova's side has ended, or does not answer:\n{ends}")
        saved: int = json.loads(line)
        return saved

    @contextlib.contextmanager
    def _running(
        self, name: str, *command: str | pathlib.Path
    ) -> Iterator["subprocess.Popen[str]"]:
        words = [command[0], "--config-file", command[1]] if name == "conductor" else command
        environment = {**os.environ, **_QUIET} if name == "conductor" else self._environment()
        with (self._directory / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "agent" else log,
                stderr=log,
                text=True,
            )
        try:
            yield process
        finally:
            # Its workers end with their parent.
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def _cpu_seconds(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    found = {name: usage.used(each) for name, each in processes.items()}
    return {name: each.cpu_seconds for name, each in found.items() if each is not None}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--hosts", type=int, default=250, help="with 20 migrations each")
    parser.add_argument("--hosts-of-one", type=int, default=1200, help="with one migration each")
    parser.add_argument("--driver", choices=["mysqldb"], help="of ours; default: PyMySQL")
    parser.add_argument("--durable", action="store_true", help="MariaDB that loses nothing")
    parser.add_argument("--environment", type=pathlib.Path, help="with Nova and PyMySQL in it")
    options = parser.parse_args()
    cases = (
        whole_path.Case(options.hosts, 20, 1 / 200),
        whole_path.Case(options.hosts_of_one, 1, 1 / 50),
    )
    environment = options.environment or environments.openstack(environments.default_cache())
    with (
        broker.rabbitmq() as rabbitmq,
        databases.mariadb(durable=options.durable) as mariadb,
        tempfile.TemporaryDirectory() as folder,
    ):
        directory = pathlib.Path(folder)
        bench = whole_path.ready(rabbitmq, mariadb, directory, options.seconds, options.driver)
        nova = Nova(environment, rabbitmq.url, mariadb.new_database(), directory)
        print(f"CPU ms an update; medians of {options.runs} runs of {options.seconds:g} s each")
        whole_path.print_head()
        runs = []
        for number in range(options.runs):
            whole_path.say(f"run {number + 1} of {options.runs}")
            theirs = nova.update(bench.others, options.seconds)
            runs.append((theirs, *(bench.ours(case) for case in cases)))
        met = True
        labels = [
            "Nova, 10 at a time",
            *(f"{case.hosts} hosts x {case.per_host}" for case in cases),
        ]
        for place, label in enumerate(labels):
            whole_path.print_row(label, whole_path.median([run[place] for run in runs]))
        for place, case in enumerate(cases, 1):
            ratio = statistics.median(run[place]["total"] / run[0]["total"] for run in runs)
            met &= ratio <= case.goal
            print(
                f"  {labels[place]}: 1/{1 / ratio:.0f} of Nova's; the goal is 1/{1 / case.goal:g}"
            )
    print(f"goals {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

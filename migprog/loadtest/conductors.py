# SPDX-License-Identifier: Apache-2.0
"""The conductors of a load test: real ones, started for it, and their metrics."""

import contextlib
import pathlib
import socket
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil
from prometheus_client.parser import text_string_to_metric_families

from migprog.loadtest import child, usage

_START_SECONDS = 60.0
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Conductors:
    """Running conductors; ``children`` are those started by the test."""

    processes: Sequence[psutil.Process]
    children: Sequence[child.Child] = ()
    metrics_ports: Sequence[int] = ()

    def check(self) -> None:
        for each in self.children:
            each.check()

    def counted(self) -> dict[str, float]:
        """Return the sums of their counters by name, buckets of histograms as ``NAME_bucket le``;
        empty for conductors that the test did not start."""
        total: dict[str, float] = {}
        for port in self.metrics_ports:
            url = f"http://127.0.0.1:{port}/metrics"
            with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:
                text = answer.read().decode()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    name = " ".join([sample.name, *sample.labels.values()])
                    total[name] = total.get(name, 0.0) + sample.value
        return total


def found() -> Conductors:
    """Return the conductors that run on this machine already, as far as visible."""
    return Conductors(usage.named("migprog-conductor"))


@contextlib.contextmanager
def started(
    count: int, config_files: Sequence[str], directory: pathlib.Path
) -> Iterator[Conductors]:
    """Run ``count`` conductors with these configuration files, ready to take reports."""
    with contextlib.ExitStack() as stack:
        children, ports = [], []
        for number in range(count):
            port = _free_port()
            own = directory / f"conductor-{number}.conf"
            own.write_text(f"[conductor]\nhost = loadtest-{number}\nmetrics_bind_port = {port}\n")
            files = [word for f in (*config_files, str(own)) for word in ("--config-file", f)]
            command = "from migprog.cmd import conductor; raise SystemExit(conductor.main())"
            children.append(
                stack.enter_context(
                    child.running(["-c", command, *files], directory, f"conductor-{number}")
                )
            )
            ports.append(port)
        at_work = Conductors([each.usage for each in children], children, ports)
        _wait(at_work)
        yield at_work


def _wait(conductors: Conductors) -> None:
    """Wait until all serve. Raises :class:`child.Failed`."""
    give_up_at = time.monotonic() + _START_SECONDS
    for port in conductors.metrics_ports:
        while True:
            conductors.check()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > give_up_at:
                raise child.Failed(f"no conductor serves within {_START_SECONDS:.0f} s")
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port

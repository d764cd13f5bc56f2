# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that reads migprog's processes, by the configuration that migprog ships."""

import contextlib
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
import yaml

from lab.parts import processes

SHIPPED = pathlib.Path(__file__).resolve().parents[2] / "etc/prometheus/prometheus.yml"
# Far from a real one's: each sample of a short migration is read.
SCRAPE_SECONDS = 0.2
_TIMEOUT_SECONDS = 30

# Labels, and values by time.
Series = tuple[dict[str, str], list[tuple[float, float]]]


class Prometheus:
    """Its HTTP API at ``address``."""

    def __init__(self, address: str) -> None:
        self.address = address

    @property
    def is_ready(self) -> bool:
        """Whether it answers queries: it listens before it has opened its storage."""
        answer = requests.get(f"{self.address}/-/ready", timeout=_TIMEOUT_SECONDS)
        return answer.status_code == requests.codes.ok

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the data of an answer."""
        answer = requests.get(
            f"{self.address}/api/v1/{path}", params=parameters, timeout=_TIMEOUT_SECONDS
        )
        document = answer.json()
        if document["status"] != "success":
            raise ValueError(f"{parameters}: {document['error']}")
        return document["data"]

    def now(self, query: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return what a query gives now, by the labels in their order."""
        return {
            tuple(sorted(each["metric"].items())): float(each["value"][1])
            for each in self.ask("query", query=query)["result"]
        }

    def samples(self, selector: str, at: float, seconds: float) -> list[float]:
        """Return the values that were read within the seconds before an instant."""
        query = f"{selector}[{round(1000 * seconds)}ms]"
        result = self.ask("query", query=query, time=at)["result"]
        return [float(value) for each in result for _, value in each["values"]]

    def between(self, query: str, start: float, end: float, step_seconds: float) -> list[Series]:
        """Return what a query gives from one instant to another; no NaN."""
        result = self.ask("query_range", query=query, start=start, end=end, step=step_seconds)
        series = []
        for each in result["result"]:
            values = [(at, float(value)) for at, value in each["values"]]
            series.append((each["metric"], [pair for pair in values if not math.isnan(pair[1])]))
        return [each for each in series if each[1]]


@contextlib.contextmanager
def scraping(directory: pathlib.Path, targets: Mapping[str, Sequence[int]]) -> Iterator[Prometheus]:
    """Run a Prometheus with the shipped rules; ``targets`` are ports of this machine by job."""
    config = yaml.safe_load(SHIPPED.read_text())
    config["global"] |= {"scrape_interval": f"{round(1000 * SCRAPE_SECONDS)}ms"}
    config["global"] |= {"evaluation_interval": "1s"}
    config["rule_files"] = [str(SHIPPED.parent / each) for each in config["rule_files"]]
    for job in config["scrape_configs"]:
        ports = targets[job["job_name"]]
        job["static_configs"] = [{"targets": [f"{processes.LOOPBACK}:{port}" for port in ports]}]
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    (port,) = processes.free_ports(1)
    command = [
        "prometheus",
        f"--config.file={path}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address={processes.LOOPBACK}:{port}",
    ]
    with processes.running(command, directory) as program:
        processes.wait_for_port(port, 60, program)
        running = Prometheus(f"http://{processes.LOOPBACK}:{port}")
        processes.wait_for(lambda: running.is_ready, 60, "Prometheus to be ready")
        yield running
        program.check()

# SPDX-License-Identifier: Apache-2.0
"""The table of remote parties: its cells, with the formula for the seconds of each."""

import csv
import io
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

from oslo_config import cfg

from migprog import httpd, rpc
from migprog.api import keystone as api_keystone
from migprog.conf import api as api_conf
from migprog.conf import compute as compute_conf
from migprog.conf import database_timeouts as database_conf
from migprog.conf import nova as nova_conf
from migprog.rpc.compute import CALL_TIMEOUT_SECONDS

CSV = pathlib.Path(__file__).parents[4] / "doc/source/remote-parties.csv"
# What a loaded machine may take besides.
SLACK_SECONDS = 10.0


def _default(options: list[cfg.Opt], name: str) -> float:
    return float(next(each.default for each in options if each.name == name))


@dataclass(frozen=True, slots=True)
class Times:
    """The timeouts of the options."""

    connect: float
    statement: float
    transaction: float
    keystone: float
    keystone_retries: int
    nova: float
    request: float
    answer: float
    rpc: float
    action: float
    heartbeat: float
    scan: float
    libvirt: float


DEFAULTS = Times(
    connect=_default(database_conf.OPTS, "connect"),
    statement=_default(database_conf.OPTS, "statement"),
    transaction=_default(database_conf.OPTS, "transaction"),
    keystone=api_keystone.DEFAULTS["http_connect_timeout"],
    keystone_retries=api_keystone.DEFAULTS["http_request_max_retries"],
    nova=float(nova_conf.DEFAULTS["timeout"]),
    request=_default(api_conf.OPTS, "request_timeout"),
    answer=httpd.Bounds().answer_seconds,
    rpc=_default(compute_conf.OPTS, "rpc_timeout"),
    action=CALL_TIMEOUT_SECONDS,
    heartbeat=float(rpc.HEARTBEAT_SECONDS),
    scan=_default(compute_conf.OPTS, "scan_interval"),
    libvirt=_default(compute_conf.OPTS, "libvirt_timeout"),
)
SHORT = Times(
    connect=1,
    statement=1,
    transaction=2,
    keystone=1,
    keystone_retries=1,
    nova=1,
    request=1,
    answer=1,
    rpc=2,
    action=CALL_TIMEOUT_SECONDS,
    heartbeat=4,
    scan=1,
    libvirt=1,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """``provoke`` raises an AssertionError if ``process`` does not do ``what``."""

    party: str
    fault: str
    process: str
    what: str
    within: Callable[[Times], float]
    provoke: Callable[..., None]
    # It takes more than ten seconds.
    long: bool

    @property
    def name(self) -> str:
        return f"{self.party} {self.fault}, {self.process}"


CELLS: list[Cell] = []


def cell(
    party: str,
    fault: str,
    process: str,
    what: str,
    within: Callable[[Times], float],
    *,
    long: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register what provokes a cell of the table."""

    def register(provoke: Callable[..., None]) -> Callable[..., None]:
        CELLS.append(Cell(party, fault, process, what, within, provoke, long))
        return provoke

    return register


def rendered() -> str:
    """The table with the defaults' seconds, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Party", "Fault", "Process", "What it does", "Within"])
    of_parties = list(dict.fromkeys(each.party for each in CELLS))
    for each in sorted(CELLS, key=lambda each: of_parties.index(each.party)):
        seconds = each.within(DEFAULTS)
        within = f"{seconds:g} s" if seconds else "at once"
        writer.writerow([each.party, each.fault, each.process, each.what, within])
    return text.getvalue()

# SPDX-License-Identifier: Apache-2.0
"""What an agent counts of what it tells. ``node`` is a hypervisor's name, as libvirt tells it."""

from prometheus_client import Counter, Gauge, Histogram

from migprog.core.actions import Action
from migprog.core.schedule import Reason
from migprog.metrics import REGISTRY

_REPORTS = Counter(
    "migprog_reports_sent",
    "Reports of migrations that were due, by why.",
    ["reason"],
    registry=REGISTRY,
)
_MESSAGES = Counter(
    "migprog_messages",
    "Messages to conductors: cast, called and answered, or taken by nobody.",
    ["kind"],
    registry=REGISTRY,
)
_ANSWERS = Histogram(
    "migprog_rpc_call_duration_seconds",
    "How long conductors took to answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
_INTERVAL = Gauge(
    "migprog_report_interval_seconds",
    "Between two messages of progress: as asked for, or stretched because conductors are slow.",
    ["node"],
    registry=REGISTRY,
)
_WATCHED = Gauge(
    "migprog_migrations_watched",
    "Migrations that are under way.",
    ["node"],
    registry=REGISTRY,
)

_ACTIONS = Counter(
    "migprog_actions",
    "What operators asked to be done to migrations: done, refused, or failed by libvirt's word.",
    ["action", "outcome"],
    registry=REGISTRY,
)
_DROPPED = Counter(
    "migprog_agent_values_dropped",
    "Optional values that broke their rules, and were left out of reports and arrivals.",
    registry=REGISTRY,
)
_STATE_DIR = Gauge(
    "migprog_state_path_failing",
    "1 while what must not be lost cannot be written to the state directory.",
    ["agent"],
    registry=REGISTRY,
)

_LIBVIRT_UP = Gauge(
    "migprog_libvirt_up",
    "1 while the agent's libvirt answers, 0 while it does not: migrations are not seen.",
    ["agent"],
    registry=REGISTRY,
)

for _reason in Reason:
    _REPORTS.labels(_reason.value)
for _kind in ("cast", "called", "failed"):
    _MESSAGES.labels(_kind)
for _action in Action:
    for _outcome in ("done", "refused", "failed"):
        _ACTIONS.labels(_action.value, _outcome)


def told(reason: Reason) -> None:
    """Count a report that is due."""
    _REPORTS.labels(reason.value).inc()


def cast() -> None:
    """Count a message that needs no answer."""
    _MESSAGES.labels("cast").inc()


def called(seconds: float) -> None:
    """Count a message that was answered after so long."""
    _MESSAGES.labels("called").inc()
    _ANSWERS.observe(seconds)


def failed() -> None:
    """Count a message that nobody took."""
    _MESSAGES.labels("failed").inc()


def acted(action: Action, outcome: str) -> None:
    """Count what was asked for: ``done``, ``refused`` or ``failed``."""
    _ACTIONS.labels(action.value, outcome).inc()


def interval(node: str, seconds: float) -> None:
    """Show how often progress is told of."""
    _INTERVAL.labels(node).set(seconds)


def watched(node: str, migrations: int) -> None:
    """Show how many migrations are under way."""
    _WATCHED.labels(node).set(migrations)


def dropped(values: int) -> None:
    """Count optional values that were left out."""
    _DROPPED.inc(values)


def state_path(agent: str, failing: bool) -> None:
    """Show how an agent, named by its libvirt's URI, stands with its state directory."""
    _STATE_DIR.labels(agent).set(failing)


def libvirt_up(agent: str, up: bool) -> None:
    """Show whether an agent's libvirt, which its URI names, answers."""
    _LIBVIRT_UP.labels(agent).set(up)

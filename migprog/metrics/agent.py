# SPDX-License-Identifier: Apache-2.0
"""Metrics of an agent. ``node`` is the hypervisor's host name in libvirt; ``connection_uri``, its
libvirt's address, is known before libvirt answers."""

from collections.abc import Callable, Mapping

from prometheus_client import Counter, Gauge, Histogram

from migprog.core.actions import Action
from migprog.core.forecast.verdict import Verdict
from migprog.core.schedule import ReportReason
from migprog.core.steering.advice import State, SteeringAction
from migprog.metrics import REGISTRY

# ENDED is the verdict of migrations that are no longer in progress.
_VERDICTS = tuple(verdict for verdict in Verdict if verdict is not Verdict.ENDED)

_MIGRATIONS = Gauge(
    "migprog_migrations",
    "Migrations in progress from this host, by verdict.",
    ["node", "verdict"],
    registry=REGISTRY,
)
_OLDEST_REPORT = Gauge(
    "migprog_oldest_unacknowledged_report_age_seconds",
    "Age of the oldest report that no conductor has acknowledged; 0 if there is none.",
    ["connection_uri"],
    registry=REGISTRY,
)
_LIBVIRT_UP = Gauge(
    "migprog_libvirt_up",
    "1 while libvirt answers the agent; 0 while it does not, and migrations are not seen.",
    ["connection_uri"],
    registry=REGISTRY,
)
_STATE_PATH_FAILING = Gauge(
    "migprog_state_path_failing",
    "1 while the agent cannot write its state directory.",
    ["connection_uri"],
    registry=REGISTRY,
)
_STATE_PATH_FREE = Gauge(
    "migprog_state_path_free_bytes",
    "Space that is free for the agent's state directory.",
    ["connection_uri"],
    registry=REGISTRY,
)
_LOOP_AGE = Gauge(
    "migprog_agent_loop_age_seconds",
    "Time since the agent's loop began its turn, which takes 10 s at most; more while it hangs or "
    "has ended, and migrations are not seen.",
    ["connection_uri"],
    registry=REGISTRY,
)
_GUEST_PAUSED = Gauge(
    "migprog_longest_guest_pause_seconds",
    "Time since the guest was paused that has been paused the longest, of those that migrate from "
    "this host; 0 while all run.",
    ["node"],
    registry=REGISTRY,
)
_REPORTS = Counter(
    "migprog_reports_sent",
    "Reports of migrations that became due, by reason.",
    ["reason"],
    registry=REGISTRY,
)
_MESSAGES = Counter(
    "migprog_messages",
    "Messages to conductors, by outcome: sent (without waiting for an answer), answered, failed.",
    ["outcome"],
    registry=REGISTRY,
)
_CALLS = Histogram(
    "migprog_rpc_call_duration_seconds",
    "Time until a conductor answered a call.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
_INTERVAL = Gauge(
    "migprog_report_interval_seconds",
    "Time between two reports of a migration's counters; longer than configured while conductors "
    "respond slowly.",
    ["node"],
    registry=REGISTRY,
)
_ACTIONS = Counter(
    "migprog_actions",
    "Requested actions on migrations, by outcome: done, refused by the agent, failed in libvirt.",
    ["action", "outcome"],
    registry=REGISTRY,
)
_ADVICE = Counter(
    "migprog_advice",
    "Decisions of steering, by outcome: advised and not carried out, done, failed in libvirt.",
    ["action", "outcome"],
    registry=REGISTRY,
)
_DROPPED = Counter(
    "migprog_agent_values_dropped",
    "Optional values that broke their rules and were left out of reports and arrivals.",
    registry=REGISTRY,
)

# increase() misses the first count of a series that appears only with it.
for _reason in ReportReason:
    _REPORTS.labels(_reason.value)
for _outcome in ("sent", "answered", "failed"):
    _MESSAGES.labels(_outcome)
for _action in Action:
    for _outcome in ("done", "refused", "failed"):
        _ACTIONS.labels(_action.value, _outcome)
for _steering_action in SteeringAction:
    for _state in State:
        _ADVICE.labels(_steering_action.value, _state.value)


def report_due(reason: ReportReason) -> None:
    """Count a report that is due."""
    _REPORTS.labels(reason.value).inc()


def cast() -> None:
    """Count a message that was sent without waiting for an answer."""
    _MESSAGES.labels("sent").inc()


def called(seconds: float) -> None:
    """Count a message that was answered after ``seconds``."""
    _MESSAGES.labels("answered").inc()
    _CALLS.observe(seconds)


def failed() -> None:
    """Count a message that no conductor accepted."""
    _MESSAGES.labels("failed").inc()


def acted(action: Action, outcome: str) -> None:
    """Count a requested action: ``done``, ``refused`` or ``failed``."""
    _ACTIONS.labels(action.value, outcome).inc()


def advised(action: SteeringAction, outcome: State) -> None:
    """Count a decision of steering."""
    _ADVICE.labels(action.value, outcome.value).inc()


def interval(node: str, seconds: float) -> None:
    """Show how often counters are reported."""
    _INTERVAL.labels(node).set(seconds)


def migrations(node: str, by_verdict: Mapping[Verdict, int]) -> None:
    """Show how many migrations are in progress with each verdict."""
    for verdict in _VERDICTS:
        _MIGRATIONS.labels(node, verdict.value).set(by_verdict.get(verdict, 0))


def guest_paused(node: str, longest_seconds: Callable[[], float]) -> None:
    """Show for how long a guest has been paused, by ``longest_seconds`` at each scrape."""
    _GUEST_PAUSED.labels(node).set_function(longest_seconds)


def oldest_report(connection_uri: str, age_seconds: Callable[[], float]) -> None:
    """Show the age of the oldest unacknowledged report, by ``age_seconds`` at each scrape."""
    _OLDEST_REPORT.labels(connection_uri).set_function(age_seconds)


def loop_age(connection_uri: str, age_seconds: Callable[[], float]) -> None:
    """Show how long ago an agent's loop began its turn, by ``age_seconds`` at each scrape."""
    _LOOP_AGE.labels(connection_uri).set_function(age_seconds)


def dropped(values: int) -> None:
    """Count optional values that were left out."""
    _DROPPED.inc(values)


def state_path(connection_uri: str, failing: bool) -> None:
    """Show whether an agent cannot write its state directory."""
    _STATE_PATH_FAILING.labels(connection_uri).set(failing)


def state_path_free(connection_uri: str, free_bytes: int) -> None:
    """Show how much space an agent's state directory has."""
    _STATE_PATH_FREE.labels(connection_uri).set(free_bytes)


def libvirt_up(connection_uri: str, up: bool) -> None:
    """Show whether an agent's libvirt answers."""
    _LIBVIRT_UP.labels(connection_uri).set(up)

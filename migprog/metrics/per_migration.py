# SPDX-License-Identifier: Apache-2.0
"""Metrics of single migrations: a series for each, while it is in progress.

The agent's loop hands over the newest figures of a migration, which costs it the storing of a
reference; values are computed when Prometheus asks. Figures never change once they are made, and
the lock is held only while the list of them is copied.

After a migration's end its last values stay until a scrape has shown them, or for
``LAST_SECONDS``. ``MOST_MIGRATIONS`` at a time have series, ended ones give way to others.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily

from migprog.core.forecast import precopy
from migprog.core.forecast.verdict import Verdict
from migprog.core.log_limit import LogLimit
from migprog.core.metric_figures import Figures
from migprog.metrics import REGISTRY

LOG = logging.getLogger(__name__)

# More than any hypervisor migrates at once: Nova's default is 1.
MOST_MIGRATIONS = 100
# So long the last values of an ended migration wait for a scrape.
LAST_SECONDS = 300.0
LABELS = ("node", "server_uuid", "migration_uuid")
# A code never changes its meaning. The order is that of colours on the dashboard.
VERDICT_CODES = {
    Verdict.STARTING: 0,
    Verdict.COPYING: 1,
    Verdict.CONVERGING: 2,
    Verdict.NOT_CONVERGING: 3,
    Verdict.STALLED: 4,
    Verdict.SWITCHING_OVER: 5,
    Verdict.POST_COPY: 6,
    Verdict.POST_COPY_PAUSED: 7,
    Verdict.ENDED: 8,
}
_VERDICT = "migprog_migration_verdict"
_VERDICT_HELP = (
    "Verdict of a migration, as a label; the value is its code: "
    + ", ".join(f"{code} {verdict}" for verdict, code in VERDICT_CODES.items())
    + "."
)

Value = Callable[[Figures, float], float | None]


def _counter(name: str) -> Value:
    """Return what reads a counter of the newest sample."""
    return lambda shown, _: None if shown.latest is None else getattr(shown.latest, name)


def _ratio(percent: int | None) -> float | None:
    return None if percent is None else percent / 100


# Name after ``migprog_migration_``, help, and the value at a monotonic clock's time; None: unknown.
_METRICS: tuple[tuple[str, str, Value], ...] = (
    (
        "progress_ratio",
        "Progress of a migration, as a share of its time: 0.29 is the API's 29 percent.",
        lambda shown, _: _ratio(shown.assessed.summary.percent),
    ),
    (
        "eta_seconds",
        "Estimated time that is left, counted from the sample.",
        lambda shown, _: shown.assessed.forecast.eta_seconds,
    ),
    (
        "eta_low_seconds",
        "Lower end of the range of the estimated time that is left.",
        lambda shown, _: shown.assessed.forecast.eta_low_seconds,
    ),
    (
        "eta_high_seconds",
        "Upper end of the range of the estimated time that is left.",
        lambda shown, _: shown.assessed.forecast.eta_high_seconds,
    ),
    (
        "elapsed_seconds",
        "Time since the start of a migration, or from its start to its end.",
        Figures.elapsed_seconds,
    ),
    (
        "sample_age_seconds",
        "Time since libvirt was last read; the counters are as old.",
        Figures.sample_age_seconds,
    ),
    (
        "guest_paused_seconds",
        "Time since the guest was paused during its migration; 0 while it runs.",
        Figures.guest_paused_seconds,
    ),
    ("memory_total_bytes", "Memory of the guest.", _counter("memory_total_bytes")),
    (
        "memory_processed_bytes",
        "Bytes of memory sent on the wire; more than the total when memory is sent again.",
        _counter("memory_processed_bytes"),
    ),
    (
        "memory_remaining_bytes",
        "Bytes of memory still to be sent; rises when an iteration begins.",
        _counter("memory_remaining_bytes"),
    ),
    ("disk_total_bytes", "Size of the disks that are copied.", _counter("disk_total_bytes")),
    ("disk_processed_bytes", "Bytes of disks copied.", _counter("disk_processed_bytes")),
    (
        "disk_remaining_bytes",
        "Bytes of disks still to be copied.",
        _counter("disk_remaining_bytes"),
    ),
    (
        "vfio_transferred_bytes",
        "Bytes of the state of VFIO devices sent; their total is not known.",
        _counter("vfio_transferred_bytes"),
    ),
    (
        "memory_iteration",
        "Number of the present iteration over the guest's memory.",
        _counter("memory_iteration"),
    ),
    (
        "iteration_start_remaining_bytes",
        "Bytes of memory that remained when the latest iteration began: it converges if they fall.",
        lambda shown, _: precopy.last_iteration_start_bytes(shown.precopy),
    ),
    (
        "throughput_bytes_per_second",
        "Bytes a second on the wire, lately.",
        lambda shown, _: precopy.throughput(shown.precopy),
    ),
    (
        "dirty_bytes_per_second",
        "Bytes of memory a second that the guest writes, as QEMU measures it.",
        _counter("dirty_bytes_per_second"),
    ),
    (
        "downtime_limit_seconds",
        "Downtime that QEMU may cause in its switchover.",
        _counter("downtime_limit_seconds"),
    ),
    (
        "downtime_needed_seconds",
        "Downtime limit that would let the migration end now.",
        lambda shown, _: shown.assessed.judgement.downtime_needed_seconds,
    ),
    (
        "bandwidth_needed_bytes_per_second",
        "Bandwidth from which on iterations get shorter.",
        lambda shown, _: shown.assessed.judgement.bandwidth_needed_bytes_per_second,
    ),
    (
        "cpu_throttle_ratio",
        "Share by which auto-converge slows the guest.",
        lambda shown, _: _ratio(shown.latest.cpu_throttle_percent if shown.latest else None),
    ),
)
_WITHOUT_SERIES = Counter(
    "migprog_migrations_without_series",
    "Migrations that had no series of their own for some time: more were in progress than have "
    "series.",
    registry=REGISTRY,
)


@dataclass(slots=True)
class _Shown:
    """``over_at``: when its end was handed over; None while it is in progress."""

    figures: Figures
    over_at: float | None


@dataclass(slots=True, eq=False)
class MigrationSeries:
    """A collector of prometheus_client: the series of all migrations that it was shown.

    Any thread may call its methods. ``clock`` is that of all instants in the figures.
    """

    most: int = MOST_MIGRATIONS
    clock: Callable[[], float] = time.monotonic
    # By node and the migration's UUID, in the order in which they came.
    _shown: dict[tuple[str, str], _Shown] = field(default_factory=dict)
    _left_out: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lines: LogLimit = field(default_factory=LogLimit)

    def show(self, node: str, figures: Figures) -> None:
        """Show a migration's newest figures from now on; after its end, once more."""
        key, now = (node, figures.uuid), self.clock()
        with self._lock:
            has_room = key in self._shown or len(self._shown) < self.most or self._make_room()
            if has_room:
                self._left_out.discard(key)
                self._shown[key] = _Shown(figures, now if figures.is_over else None)
                return
            is_new = key not in self._left_out
            if figures.is_over:
                self._left_out.discard(key)
            else:
                self._left_out.add(key)
        if is_new:
            self._left_out_one(figures, now)

    def hide(self, node: str) -> None:
        """Remove all series of a node."""
        with self._lock:
            self._shown = {key: each for key, each in self._shown.items() if key[0] != node}
            self._left_out = {key for key in self._left_out if key[0] != node}

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics without any series, so that the registry learns their names."""
        return [*_families().values(), _verdicts()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return all series as they are now; those of ended migrations for the last time."""
        now = self.clock()
        families, verdicts = _families(), _verdicts()
        for (node, uuid), figures in self._take(now):
            labels = (node, figures.server_uuid, uuid)
            try:
                values = {name: value(figures, now) for name, _, value in _METRICS}
            except Exception:
                LOG.exception(
                    "server %s: migration %s: failed to compute its metrics; they are left out of "
                    "this scrape, and monitoring continues; report this traceback as a bug",
                    *(figures.server_uuid, uuid),
                )
                continue
            for name, value in values.items():
                if value is not None:
                    families[name].add_metric(labels, value)
            verdict = figures.assessed.judgement.verdict
            verdicts.add_metric((*labels, verdict.value), VERDICT_CODES[verdict])
        return [*families.values(), verdicts]

    def _take(self, now: float) -> list[tuple[tuple[str, str], Figures]]:
        """Return what to show, and forget those among it that have ended."""
        with self._lock:
            shown = self._shown
            self._shown = {key: each for key, each in shown.items() if each.over_at is None}
        return [
            (key, each.figures)
            for key, each in shown.items()
            if each.over_at is None or now - each.over_at < LAST_SECONDS
        ]

    def _make_room(self) -> bool:
        """Forget the migration that has ended first, if one has; return whether."""
        ended = (key for key, each in self._shown.items() if each.over_at is not None)
        first = next(ended, None)
        if first is None:
            return False
        del self._shown[first]
        return True

    def _left_out_one(self, figures: Figures, now: float) -> None:
        _WITHOUT_SERIES.inc()
        with self._lock:
            held_back = self._lines.held_back("", now)
        if held_back is not None:
            LOG.warning(
                "server %s: migration %s has no metrics of its own: %d others have, which is the "
                "most; it is reported as usual, and counted in "
                "migprog_migrations_without_series_total; see migprog show for its figures",
                *(figures.server_uuid, figures.uuid, self.most),
            )


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        name: GaugeMetricFamily(f"migprog_migration_{name}", help_text, labels=LABELS)
        for name, help_text, _ in _METRICS
    }


def _verdicts() -> GaugeMetricFamily:
    return GaugeMetricFamily(_VERDICT, _VERDICT_HELP, labels=(*LABELS, "verdict"))


SERIES = MigrationSeries()
REGISTRY.register(SERIES)

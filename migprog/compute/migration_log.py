# SPDX-License-Identifier: Apache-2.0
"""Log a migration's life: when its verdict turns bad or recovers, its status and its end."""

import logging

from migprog.core import fields
from migprog.core.duration import describe
from migprog.core.forecast.logged_verdicts import VerdictChange, VerdictChanges
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Report
from migprog.core.schedule import ReportReason
from migprog.core.status import ENDED

LOG = logging.getLogger(__name__)
_MIB = 2**20


class MigrationLog:
    """The lines of one migration."""

    def __init__(self) -> None:
        self._turns = VerdictChanges()
        self._verdict: Verdict | None = None

    def sent(self, reason: ReportReason, report: Report, now: float) -> None:
        """Log what is new in a report that is sent for ``reason``."""
        ids = (report.server_uuid, report.uuid)
        LOG.debug("server %s: migration %s: report %d: %s", *ids, report.sequence, reason)
        if report.status in ENDED:
            LOG.info(
                "server %s: migration %s ended: %s", *ids, final_figures(report, self._verdict)
            )
            return
        if reason is ReportReason.STATUS:
            LOG.info("server %s: migration %s is now %s", *ids, report.status)
        if report.verdict is None:
            return
        self._verdict = report.verdict
        unlogged = self._turns.unlogged
        self._turns, turn = self._turns.after(report.verdict, now)
        if turn is None:
            return
        level = logging.WARNING if turn is VerdictChange.BAD else logging.INFO
        words = "is" if turn is VerdictChange.BAD else "has recovered and is"
        often = f" (its verdict changed {unlogged} times since the last line)" if unlogged else ""
        message = fields.text(report.verdict_message or "")
        LOG.log(
            level,
            "server %s: migration %s %s %s: %s%s",
            *ids,
            words,
            report.verdict,
            message,
            often,
        )


def final_figures(report: Report, verdict: Verdict | None = None) -> str:
    """Format the final figures of a migration in one line; unknown ones are left out.

    ``verdict`` is the last one before its end.
    """
    vfio_bytes, throughput = report.vfio_transferred_bytes, report.throughput_bytes_per_second
    known = (
        _duration("total", report.total_seconds),
        _duration("downtime", report.downtime_seconds),
        _bytes("memory", report.memory_processed_bytes, report.memory_total_bytes),
        _bytes("disk", report.disk_processed_bytes, report.disk_total_bytes),
        None if vfio_bytes is None else f"device state {vfio_bytes / _MIB:.0f} MiB sent",
        None if throughput is None else f"throughput {throughput / _MIB:.1f} MiB/s",
        None if report.memory_iteration is None else f"{report.memory_iteration} iterations",
        None
        if report.cpu_throttle_percent is None
        else f"guest slowed by {report.cpu_throttle_percent} %",
        None if verdict is None else f"last verdict {verdict}",
        None if report.error is None else f"error: {fields.text(report.error)}",
    )
    return "; ".join([str(report.status), ", ".join(text for text in known if text is not None)])


def _duration(name: str, seconds: float | None) -> str | None:
    return None if seconds is None else f"{name} {describe(seconds)}"


def _bytes(name: str, sent_bytes: int | None, total_bytes: int | None) -> str | None:
    """Format sent and total bytes; None if they are not known, or the total is 0."""
    if sent_bytes is None or not total_bytes:
        return None
    return f"{name} {sent_bytes / _MIB:.0f} MiB sent for {total_bytes / _MIB:.0f} MiB"

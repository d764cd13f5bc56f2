# SPDX-License-Identifier: Apache-2.0
"""A migration that is watched, with all that belongs to watching it."""

import dataclasses
import logging
from dataclasses import dataclass

from migprog.compute import domain_xml
from migprog.compute.monitor import Monitor
from migprog.compute.recorder import Tape
from migprog.compute.report_log import ReportLog
from migprog.compute.sampler import Sampler
from migprog.compute.settings import Settings

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Watched:
    """``judge_at``: when to see whether there is something to tell, if nothing is seen before."""

    monitor: Monitor
    sampler: Sampler
    tape: Tape
    next_poll_at: float
    judge_at: float
    hung: bool = False
    log: ReportLog = dataclasses.field(default_factory=ReportLog)

    def learn(self, facts: domain_xml.Facts | None) -> None:
        self.monitor.learn(facts)
        if facts is not None:
            self.tape.facts = facts

    def ask(self, settings: Settings, now: float) -> None:
        """Ask for the reading that is due, if one is."""
        sampler = self.sampler
        if sampler.asked_at is None:
            if now >= self.next_poll_at:
                # At the same ticks for all of them: to wake up once costs less than once for each.
                interval_seconds = settings.poll_interval_seconds
                self.next_poll_at = (now // interval_seconds + 1) * interval_seconds
                sampler.ask(now)
        elif not self.hung and now - sampler.asked_at > settings.libvirt_timeout_seconds:
            self.hung = True
            LOG.warning(
                "server %s: libvirt has not answered for %.0f s; no data until it does",
                self.monitor.server_uuid,
                now - sampler.asked_at,
            )

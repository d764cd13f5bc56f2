# SPDX-License-Identifier: Apache-2.0
"""The agent's settings, from its configuration."""

from dataclasses import dataclass

from migprog.compute.measuring import NO_MEASURING, Rules
from migprog.core import schedule
from migprog.core.steering.policies import NO_POLICIES, Mode, Policies
from migprog.recording.writer import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """The agent's configuration; see conf/compute.py for units and ranges."""

    connection_uri: str
    host: str | None
    my_ip: str | None
    poll_interval_seconds: float
    scan_interval_seconds: float
    qemu_events: bool
    libvirt_timeout_seconds: float
    rules: schedule.Rules
    state_path: str | None
    record_path: str | None
    record_limits: Limits
    steering_mode: Mode = Mode.OFF
    policies: Policies = NO_POLICIES
    per_migration_metrics: bool = False
    allow_actions: bool = True
    measuring: Rules = NO_MEASURING

    @property
    def steers(self) -> bool:
        """Whether steering acts."""
        return self.steering_mode is Mode.ENFORCE

    @property
    def reads_bandwidth(self) -> bool:
        """Whether steering has to know the bandwidth limits in force."""
        return self.steers and self.policies.may_raise_bandwidth

# SPDX-License-Identifier: Apache-2.0
"""What the agent is told by its configuration."""

from dataclasses import dataclass

from migprog.compute.recorder import Limits
from migprog.core import throttle


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent's configuration says; see conf/compute.py for units and ranges."""

    libvirt_uri: str
    host: str | None
    my_ip: str | None
    poll_interval_seconds: float
    scan_interval_seconds: float
    qemu_events: bool
    libvirt_timeout_seconds: float
    rules: throttle.Rules
    state_dir: str | None
    record_dir: str | None
    record_limits: Limits

# SPDX-License-Identifier: Apache-2.0
"""Real libvirt hosts on one machine, with guests that dirty memory at a chosen rate."""

from lab.hosts.errors import LabError
from lab.hosts.guest import Guest
from lab.hosts.host import Host
from lab.hosts.lab import Lab, Server
from lab.hosts.migration import Migration, Outcome
from lab.hosts.nova_metadata import NovaMetadata

__all__ = ["Guest", "Host", "Lab", "LabError", "Migration", "NovaMetadata", "Outcome", "Server"]

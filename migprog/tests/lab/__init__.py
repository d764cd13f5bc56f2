# SPDX-License-Identifier: Apache-2.0
"""Real libvirt hosts on one machine, with guests that dirty memory at a chosen pace."""

from migprog.tests.lab.errors import LabError
from migprog.tests.lab.guest import Guest
from migprog.tests.lab.host import Host
from migprog.tests.lab.lab import Lab, Server
from migprog.tests.lab.metadata import NovaMetadata
from migprog.tests.lab.migration import Migration, Outcome

__all__ = ["Guest", "Host", "Lab", "LabError", "Migration", "NovaMetadata", "Outcome", "Server"]

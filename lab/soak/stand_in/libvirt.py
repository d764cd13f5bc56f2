# SPDX-License-Identifier: Apache-2.0
"""Found first in the ``PYTHONPATH`` of a soaked agent: installs the fake as ``libvirt``."""

from lab import fake_libvirt
from lab.soak.hypervisor import SoakHypervisor

fake_libvirt.install(SoakHypervisor())

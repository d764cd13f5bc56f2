# SPDX-License-Identifier: Apache-2.0
"""Stands in for the module ``libvirt_qemu``."""

from collections.abc import Callable
from typing import Any

import libvirt


def qemuMonitorEventRegister(
    connection: Any, _domain: None, event: str, callback: Callable[..., None], _opaque: Any
) -> int:
    if event == "MIGRATION":
        connection.hypervisor.callbacks[libvirt.QEMU_MIGRATION] = callback
    return 0

# SPDX-License-Identifier: Apache-2.0
"""libvirt's event loop: one native daemon thread in each process."""

import os
import threading

import libvirt

_lock = threading.Lock()
_running_in_pid: int | None = None


def ensure_event_loop() -> None:
    """Run libvirt's default event loop in this process; call it before the first connection.

    Harmless when repeated, and when another module of the process does the same of its own: libvirt
    keeps the first registration, and two threads that run the loop take turns.
    """
    global _running_in_pid
    with _lock:
        if _running_in_pid == os.getpid():
            return
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(_ignore, None)  # errors are raised, no need to print them too
        threading.Thread(target=_run, name="lab-libvirt-events", daemon=True).start()
        _running_in_pid = os.getpid()


def _ignore(_context: None, _error: tuple) -> None:
    pass


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()

# SPDX-License-Identifier: Apache-2.0
"""The state directory of a lab, and those that killed labs left behind.

A lab holds a lock (flock) on its directory as long as it lives: one without is stale.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from lab.hosts.errors import LabError

PREFIX = "migprog-lab-"
RUN = Path("/run")


class StateDirectory:
    """A new, locked directory below `base`."""

    def __init__(self, base: Path | None = None):
        if base is None:
            base = RUN if os.access(RUN, os.W_OK) else Path(tempfile.gettempdir())
        base.mkdir(parents=True, exist_ok=True)
        sweep(base)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base)).resolve()
            lock = _lock(self.path)
            if lock is not None:  # else another lab's sweep was faster than our lock
                self._lock = lock
                return

    def remove(self) -> None:
        """Remove the directory with its content, and release the lock."""
        _remove_tree(self.path)
        os.close(self._lock)


def sweep(base: Path) -> list[Path]:
    """Remove the directories of ended labs below `base`; return them."""
    removed = []
    for path in sorted(base.glob(f"{PREFIX}*")):
        lock = _lock(path)
        if lock is not None:
            _remove_tree(path)
            os.close(lock)
            removed.append(path)
    return removed


def _lock(path: Path) -> int | None:
    """Lock a directory and return the descriptor; None if another process has it, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _remove_tree(path: Path) -> None:
    """Remove a tree, but never what is mounted in it, should a host's mounts ever have leaked."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounted if Path(point).is_relative_to(path)]
    if inside:
        raise LabError(f"{inside[0]} is still mounted: unmount it, then remove {path}")
    shutil.rmtree(path, ignore_errors=True)

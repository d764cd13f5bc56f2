# SPDX-License-Identifier: Apache-2.0
"""The directory a lab keeps its state in, and the directories that killed labs left behind.

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
    """A fresh directory of our own below `base`, for as long as it is not removed."""

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
        """Remove it with all that is in it, and give up the lock."""
        _remove_tree(self.path)
        os.close(self._lock)


def sweep(base: Path) -> list[Path]:
    """Remove what labs that are no more left below `base`; the directories removed."""
    removed = []
    for path in sorted(base.glob(f"{PREFIX}*")):
        lock = _lock(path)
        if lock is not None:
            _remove_tree(path)
            os.close(lock)
            removed.append(path)
    return removed


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock on a directory; None when another does, or it is gone."""
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

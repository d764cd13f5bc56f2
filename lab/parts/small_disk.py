# SPDX-License-Identifier: Apache-2.0
"""A small disk: a tmpfs. Mounting one needs root."""

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def mounted(path: pathlib.Path, size_kib: int) -> Iterator[None]:
    """Mount a tmpfs of that size at ``path`` during the block."""
    path.mkdir()
    options = f"size={size_kib}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: pathlib.Path) -> pathlib.Path:
    """Fill the disk; return the file to remove to free it."""
    filler = path / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler

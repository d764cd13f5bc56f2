# SPDX-License-Identifier: Apache-2.0
"""A disk that is soon full: a tmpfs. To mount one takes root."""

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def mounted(path: pathlib.Path, size_kib: int) -> Iterator[None]:
    """Have a new folder at ``path`` that takes so much, while the block lasts."""
    path.mkdir()
    options = f"size={size_kib}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: pathlib.Path) -> pathlib.Path:
    """Take all the room there is; gives the file to remove for it."""
    filler = path / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler

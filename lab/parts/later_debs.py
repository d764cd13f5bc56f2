# SPDX-License-Identifier: Apache-2.0
"""Debian packages again under a later version, as an upgrade has them, without building them."""

import pathlib
import re
import subprocess
import tempfile
from collections.abc import Mapping

_SUFFIX = "+later1"


def later(debs: Mapping[str, pathlib.Path], directory: pathlib.Path) -> dict[str, pathlib.Path]:
    """Write each of ``debs`` into ``directory`` as a later version; return them by name."""
    return {name: _repacked(path, directory) for name, path in debs.items()}


def _repacked(path: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    name, version, rest = path.name.split("_", 2)
    target = directory / f"{name}_{version}{_SUFFIX}_{rest}"
    with tempfile.TemporaryDirectory(dir=directory) as place:
        root = pathlib.Path(place) / "root"
        _run("dpkg-deb", "--raw-extract", path, root)
        control = root / "DEBIAN/control"
        # The packages of one build need each other in this very version, or a later one.
        changed = re.sub(
            r"(?m)^Version: .*|(?<=[(]= )[^)]+",
            lambda found: found[0] + _SUFFIX,
            control.read_text(),
        )
        control.write_text(changed)
        # Without compression it takes seconds.
        _run("dpkg-deb", "--build", "-Znone", root, target)
    return target


def _run(*command: str | pathlib.Path) -> None:
    subprocess.run([str(each) for each in command], check=True, capture_output=True, timeout=300)

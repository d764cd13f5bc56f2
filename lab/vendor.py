# SPDX-License-Identifier: Apache-2.0
"""The files of others that the project carries: from the npm registry, as they are, each of one
known version and content, with its licence.

    tools/vendor            fetches them (needs npm), and writes them where they belong
    tools/vendor --check    compares those that are there; needs no network

A new version: change it with its integrity (``npm view NAME dist.integrity``), run tools/vendor,
which shows the hashes of the new files, and put these here after having looked at the changes.
"""

import argparse
import base64
import hashlib
import pathlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = "migprog/ui/files/vendor"
# Of tests alone: no part of what is installed.
TESTS = "lab/browser"


@dataclass(frozen=True, slots=True)
class Package:
    """``integrity``: of the tarball, as npm writes it. ``files``: SHA-256 by the name in it."""

    name: str
    version: str
    license: str
    directory: str
    integrity: str
    files: Mapping[str, str]

    def paths(self) -> Iterator[tuple[str, pathlib.Path, str]]:
        """Yield the name in the tarball, the path in this tree, and the hash of each file."""
        for name, sha256 in self.files.items():
            target = _ROOT / self.directory / self.name / pathlib.PurePosixPath(name).name
            yield name, target, sha256


PACKAGES = (
    Package(
        "preact",
        "11.2.0",
        "MIT",
        PAGE,
        "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        {
            "dist/preact.mjs": "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55",
            "LICENSE": "1fe6958409c8c257a70c587a18b6f7f412b179b456630790d30b2ec9a8e4b7d4",
        },
    ),
    Package(
        "htm",
        "3.1.1",
        "Apache-2.0",
        PAGE,
        "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        {
            "dist/htm.mjs": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
            "LICENSE": "740725f7252e750af735d0028cc534970772f513331e9f68150fede8fb3ce00f",
        },
    ),
    Package(
        "uplot",
        "1.6.32",
        "MIT",
        PAGE,
        "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "dist/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",  # noqa: E501
            "dist/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",  # noqa: E501
            "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
        },
    ),
    Package(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        TESTS,
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
        {
            "axe.min.js": "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
            "LICENSE": "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e",
        },
    ),
)


def differences(packages: Sequence[Package] = PACKAGES) -> list[str]:
    """Return a line for each file that is missing or is another one."""
    found = []
    for package in packages:
        for _name, path, expected in package.paths():
            where = path.relative_to(_ROOT)
            if not path.exists():
                found.append(f"{where}: is missing")
            elif (sha256 := _sha256(path.read_bytes())) != expected:
                found.append(f"{where}: has the SHA-256 {sha256}")
    return found


def fetch(package: Package) -> None:
    """Write the files of a package. Raises :class:`RuntimeError` if its tarball is another one."""
    wanted = f"{package.name}@{package.version}"
    with tempfile.TemporaryDirectory(prefix="migprog-vendor-") as directory:
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", directory, wanted],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (tarball,) = pathlib.Path(directory).glob("*.tgz")
        digest = hashlib.sha512(tarball.read_bytes()).digest()
        found = f"sha512-{base64.b64encode(digest).decode()}"
        if found != package.integrity:
            raise RuntimeError(f"{wanted} has the integrity {found}, not {package.integrity}")
        with tarfile.open(tarball) as archive:
            for name, path, _sha256 in package.paths():
                member = archive.extractfile(f"package/{name}")
                assert member is not None, name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(member.read())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tools/vendor", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="compare the files that are there")
    if not parser.parse_args(arguments).check:
        for package in PACKAGES:
            fetch(package)
    found = differences()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

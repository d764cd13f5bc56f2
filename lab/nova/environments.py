# SPDX-License-Identifier: Apache-2.0
"""The Python environments of the lab, kept in a cache directory and used again by the next one."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab.nova.progress_lines import say, step
from lab.nova.subprocesses import run

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "constraints" / "nova-lab"
REQUIREMENTS, CONSTRAINTS = PINS / "requirements.txt", PINS / "constraints.txt"
# The hosts of the lab see /usr alone: an interpreter elsewhere would not be there.
PYTHON = Path("/usr/bin/python3")
_STAMP = "installed"


def default_cache() -> Path:
    """Where environments are kept unless another directory is named."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "migprog-nova-lab"


def fingerprint(*files: Path) -> str:
    """Name what an environment was made of: the interpreter and the given files."""
    found = hashlib.sha256(os.path.realpath(PYTHON).encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


def openstack(cache: Path) -> Path:
    """Return the directory of the environment with Nova and its kin; install it if need be."""
    wanted = cache / f"openstack-{fingerprint(REQUIREMENTS, CONSTRAINTS)}"
    with locked(cache):
        if not (wanted / _STAMP).exists():
            _install_openstack(wanted)
    return wanted


def _install_openstack(wanted: Path) -> None:
    shutil.rmtree(wanted, ignore_errors=True)
    with step(f"making {wanted}"):
        run([PYTHON, "-m", "venv", wanted])
    pip: list[str | Path] = [wanted / "bin/pip", "install", "--quiet"]
    for line in requirements():
        with step(f"installing {line}"):
            run([*pip, "-c", CONSTRAINTS, line])
    (wanted / _STAMP).touch()


def requirements() -> list[str]:
    """Return the requirements that the lab names."""
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    return [line for line in lines if line]


def freeze(cache: Path) -> None:
    """Install the requirements without constraints, and write what came with them."""
    scratch = cache / "freeze"
    shutil.rmtree(scratch, ignore_errors=True)
    with step("resolving the requirements again"):
        run([PYTHON, "-m", "venv", scratch])
        run([scratch / "bin/pip", "install", "--quiet", "-r", REQUIREMENTS])
    named = {line.partition("==")[0].lower() for line in requirements()}
    frozen = run([scratch / "bin/pip", "freeze"]).splitlines()
    rest = [line for line in frozen if line.partition("==")[0].lower() not in named]
    title = "# Written by tools/nova-lab freeze: what came with the releases of requirements.txt."
    CONSTRAINTS.write_text("\n".join([title, *rest]) + "\n")
    shutil.rmtree(scratch)
    say(f"{len(rest)} releases in {CONSTRAINTS}")


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Lock the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

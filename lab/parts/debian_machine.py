# SPDX-License-Identifier: Apache-2.0
"""A fresh Debian with systemd as its process 1, in namespaces of this machine; needs root.

It shares the machine's network, so that it reaches the brokers and databases of tests.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator, Sequence

from lab.parts import processes

_SUITE = "bookworm"
# systemd, what apt needs, and what our packages depend on.
_PACKAGES = "systemd,systemd-sysv,dbus,init-system-helpers,python3,libvirt0,procps,media-types"
_START_SECONDS = 90.0


# Of each hierarchy that systemd uses, by either version of control groups. Otherwise two machines
# would share theirs.
_HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_IN_OWN_GROUP = f"""
for each in {" ".join(_HIERARCHIES)}; do
    if [ -e "$each/cgroup.procs" ]; then
        mkdir "$each/$0" && echo $$ >"$each/$0/cgroup.procs" || exit
    fi
done
exec "$@"
"""


class Machine:
    """A running one; its files are below ``root``."""

    def __init__(self, root: pathlib.Path, program: processes.Program) -> None:
        self.root = root
        self._program = program

    def try_run(self, *command: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root."""
        pid = self._program.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            self._program.check()
            raise RuntimeError("it has not booted yet")
        return subprocess.run(
            ["nsenter", "--target", children[0], "--all", "--", *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def run(self, *command: str, seconds: float = 120.0) -> str:
        """Return what a command writes. Raises :class:`AssertionError` if it fails."""
        done = self.try_run(*command, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", f"--property={name}", "--value", unit).strip()


def make_root(directory: pathlib.Path) -> None:
    """Install a minimal Debian into an empty folder, half a minute."""
    done = subprocess.run(
        ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    if done.returncode != 0:
        raise RuntimeError(f"mmdebstrap:\n{done.stderr[-4000:]}")


def _end_groups(name: str) -> None:
    """Kill what is left in a machine's control groups, and remove these."""
    tops = [pathlib.Path(hierarchy, name) for hierarchy in _HIERARCHIES]

    def are_empty() -> bool:
        left = [pid for top in tops for each in _groups(top) for pid in _members(each)]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    processes.wait_for(are_empty, 30.0, f"the processes of {name} to end")
    for top in tops:
        for group in _groups(top):
            group.rmdir()


def _groups(top: pathlib.Path) -> list[pathlib.Path]:
    """Return the control groups of a tree, inner ones first."""
    if not top.is_dir():
        return []
    return sorted((path for path in [top, *top.rglob("*")] if path.is_dir()), reverse=True)


def _members(group: pathlib.Path) -> list[int]:
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split() if pid != "0"]


@contextlib.contextmanager
def booted(root: pathlib.Path, logs: pathlib.Path, binds: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot ``root`` while the block runs. ``binds``: what it sees, as systemd-nspawn has it."""
    name = f"migprog-{processes.free_ports(1)[0]}"
    command = ["sh", "-c", _IN_OWN_GROUP, name]
    command += ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]
    command += [f"--machine={name}", f"--directory={root}"]
    command += [f"--bind={each}" for each in binds]
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_end_groups, name)
        program = cleanup.enter_context(processes.running(command, logs))
        machine = Machine(root, program)

        def is_up() -> bool:
            with contextlib.suppress(RuntimeError):
                state = machine.try_run("systemctl", "is-system-running").stdout.strip()
                return state in ("running", "degraded")
            program.check()
            return False

        processes.wait_for(is_up, _START_SECONDS, "systemd to have booted")
        yield machine

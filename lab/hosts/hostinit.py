# SPDX-License-Identifier: Apache-2.0
"""Process 1 of one lab host: it holds the host's namespaces.

Run as a script, under `unshare --mount --uts --pid --fork`, with one argument, a JSON object (see
`main`). It needs nothing but the standard library.

* It builds the host's root directory from bind mounts, which only this mount namespace sees.
* It starts libvirtd in there, and adopts and reaps the QEMU processes, so that libvirtd can be
  killed and started again while the guests live on.
* It ends as soon as the owner of the lab does, however that died. The kernel then kills every other
  process of this pid namespace, and with the last of them the mounts go.

The owner is watched through a pidfd opened by the owner itself. A parent-death signal would be
bound to the *thread* that started us, and would miss an owner that died before we asked for it; a
pipe would be kept open by whatever the owner forked.

Commands come as lines on standard input, each answered by one line, `ok ...` or `error ...`:
`start`, `alive` and `stop SIGNAL` (which waits for the end) are about libvirtd; `signal PID SIGNAL`
is for any process of the host, by its process id in here, or by the name `libvirtd`.
"""

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
STOP_TIMEOUT_S = 10.0
SYSTEM_DIRECTORIES = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, flags: int = 0, kind: str = "none", options: str = "") -> None:
    """mount(2), by name; raises OSError."""
    arguments = (source.encode(), target.encode(), kind.encode())
    if _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount {source} at {target}: {os.strerror(code)}")


def bind(source: Path, target: Path, read_only: bool = False) -> None:
    """Show `source`, a directory or a file, at `target` too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount(str(source), str(target), MS_BIND)
    if read_only:
        mount(str(source), str(target), MS_BIND | MS_REMOUNT | MS_RDONLY)


def build_root(root: Path, lab_directory: Path, devices: list[str], visible: list[str]) -> None:
    """Complete `root`, which holds the host's own /etc, /run and /var, to a system that can run.

    /sys is bound without what is mounted below it: no control groups, so libvirt leaves them alone.
    The lab's directory keeps its path, so that a socket in it has one address inside and outside;
    so do the directories in `visible`, read-only.
    """
    for name in SYSTEM_DIRECTORIES:
        system = Path("/", name)
        if system.is_symlink():
            (root / name).symlink_to(os.readlink(system))
        elif system.is_dir():
            bind(system, root / name, read_only=True)
    bind(Path("/sys"), root / "sys")
    for device in devices:
        bind(Path("/dev", device), root / "dev" / device)
    # For consoles, as Nova's servers have them.
    (root / "dev/pts").mkdir()
    mount("devpts", str(root / "dev/pts"), kind="devpts", options="ptmxmode=0666")
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    (root / "proc").mkdir()
    mount("proc", str(root / "proc"), kind="proc")
    for path in (lab_directory, *map(Path, visible)):
        bind(path, root / path.relative_to("/"), read_only=path != lab_directory)


class HostInit:
    """The loop of process 1."""

    def __init__(
        self, owner_pidfd: int, root: str, command: list[str], environment: dict[str, str]
    ):
        self.owner_pidfd = owner_pidfd
        self.root = root
        self.command = command
        self.environment = environment
        self.libvirtd_pid: int | None = None

    def run(self) -> None:
        """Serve until the owner ends, or closes our standard input."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        poller = select.poll()
        for fd in (self.owner_pidfd, woken, sys.stdin.fileno()):
            poller.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self.owner_pidfd in ready:
                return
            if woken in ready:
                os.read(woken, 4096)
                self.reap()
            if sys.stdin.fileno() in ready and not self.serve_one():
                return

    def reap(self) -> None:
        """Collect every child that ended, adopted ones too."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.libvirtd_pid:
                self.libvirtd_pid = None

    def serve_one(self) -> bool:
        """Carry out one command line; False when there will be no more."""
        line = sys.stdin.readline()
        if not line:
            return False
        verb, *arguments = line.split()
        try:
            print("ok", COMMANDS[verb](self, *arguments), flush=True)
        except (OSError, LookupError, ValueError) as error:
            print("error", error, flush=True)
        return True

    def start(self) -> int:
        if self.libvirtd_pid is None:
            self.libvirtd_pid = os.fork()
            if self.libvirtd_pid == 0:
                self._become_libvirtd()
        return self.libvirtd_pid

    def _become_libvirtd(self) -> None:
        """In the forked child: never returns."""
        try:
            os.chroot(self.root)
            os.chdir("/")
            os.setsid()
            log = os.open("/var/log/libvirt/output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            null = os.open("/dev/null", os.O_RDWR)
            for fd, source in enumerate((null, log, log)):
                os.dup2(source, fd)
            os.execve(self.command[0], self.command, self.environment)
        finally:
            os._exit(127)

    def alive(self) -> str:
        return "no" if self.libvirtd_pid is None else "yes"

    def stop(self, number: str) -> str:
        if self.libvirtd_pid is not None:
            os.kill(self.libvirtd_pid, int(number))
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while os.waitpid(self.libvirtd_pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:  # it was stopped, say: nothing stops SIGKILL
                    os.kill(self.libvirtd_pid, signal.SIGKILL)
                time.sleep(0.01)
            self.libvirtd_pid = None
        return "stopped"

    def signal(self, pid: str, number: str) -> str:
        target = self.libvirtd_pid if pid == "libvirtd" else int(pid)
        if target is None:
            raise LookupError("libvirtd does not run")
        os.kill(target, int(number))
        return "sent"


COMMANDS: dict[str, Callable[..., object]] = {
    "start": HostInit.start,
    "alive": HostInit.alive,
    "stop": HostInit.stop,
    "signal": HostInit.signal,
}


def main() -> None:
    settings = json.loads(sys.argv[1])
    os.set_inheritable(settings["owner_pidfd"], False)
    try:
        socket.sethostname(settings["hostname"])
        root, lab_directory = Path(settings["root"]), Path(settings["lab_directory"])
        build_root(root, lab_directory, settings["devices"], settings["visible"])
    except OSError as error:
        print("error", error, flush=True)
        return
    HostInit(
        settings["owner_pidfd"], settings["root"], settings["command"], settings["environment"]
    ).run()


if __name__ == "__main__":
    main()

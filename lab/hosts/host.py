# SPDX-License-Identifier: Apache-2.0
"""One libvirt host of a lab: a libvirtd with everything it keeps, in namespaces of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import libvirt

from lab.hosts.errors import LabError
from lab.hosts.events import ensure_event_loop
from lab.hosts.hostroot import DRIVERS, LOGS, PROGRAMS, write_root
from lab.hosts.ports import PortBlock
from lab.hosts.programs import Programs

SOCKET_PATH_LIMIT = 107  # bytes, of any Unix socket's path
START_TIMEOUT_S = 30.0


class Host:
    """A host: `name` is its host name, `uri` reaches its libvirtd from anywhere on the machine."""

    def __init__(
        self,
        name: str,
        host_names: tuple[str, ...],
        lab_directory: Path,
        programs: Programs,
        kvm: bool,
        visible: tuple[Path, ...] = (),
    ):
        self.name = name
        self.directory = lab_directory / name
        self.root = self.directory / "root"
        if len(os.fsencode(self.directory / "libvirt-admin-sock")) > SOCKET_PATH_LIMIT:
            raise LabError(
                f"{self.directory} is too long for a socket: choose a shorter state_path"
            )
        self._socket_path = self.directory / "libvirt-sock"
        self.uri = f"qemu+unix:///system?socket={self._socket_path}"
        self._lock = threading.Lock()
        self._ports = PortBlock()
        write_root(self.root, self.directory, host_names, self._ports, programs)
        self._process = self._launch(lab_directory, programs, kvm, visible)

    # -- libvirt -------------------------------------------------------------------------------

    def connect(self) -> libvirt.virConnect:
        """Open a read-write connection; the caller closes it."""
        ensure_event_loop()
        return libvirt.open(self.uri)

    def connect_read_only(self) -> libvirt.virConnect:
        """Open a read-only connection; the caller closes it."""
        ensure_event_loop()
        return libvirt.openReadOnly(self.uri)

    def start_libvirtd(self, timeout: float = START_TIMEOUT_S) -> None:
        """Start libvirtd, if it does not run, and wait (`timeout` in seconds) until it serves."""
        self._command("start")
        deadline = time.monotonic() + timeout
        while not self._serves():
            if self._command("alive") == "no" or time.monotonic() > deadline:
                raise LabError(f"libvirtd of {self.name} does not serve:\n{self.log()}")
            time.sleep(0.02)

    def stop_libvirtd(self) -> None:
        """Stop libvirtd; the guests continue to run."""
        self._command("stop", str(int(signal.SIGTERM)))

    def kill_libvirtd(self) -> None:
        """Kill libvirtd; the guests continue to run."""
        self._command("stop", str(int(signal.SIGKILL)))

    def restart_libvirtd(self) -> None:
        """Restart libvirtd, and wait until it serves."""
        self.stop_libvirtd()
        self.start_libvirtd()

    def signal_libvirtd(self, number: signal.Signals) -> None:
        """Send libvirtd a signal, such as SIGSTOP, so that it hangs, or SIGCONT."""
        self._command("signal", "libvirtd", str(int(number)))

    def signal_guest(self, name: str, number: signal.Signals) -> None:
        """Send domain `name`'s QEMU on this host a signal, such as SIGKILL or SIGSTOP."""
        pid = (self.root / "run/libvirt/qemu" / f"{name}.pid").read_text().strip()
        self._command("signal", pid, str(int(number)))

    def enter(self, *command: str | Path) -> list[str]:
        """Return the command line that runs `command` as a process of this host, in its root.

        What it starts ends with the host. nsenter hands no signal on: signal the process group.
        """
        unshare = self._process.pid
        init = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().strip()
        namespaces = ["nsenter", "--target", init, "--mount", "--uts", "--pid", "--"]
        return [*namespaces, "chroot", str(self.root), *map(str, command)]

    def log(self, lines: int = 20) -> str:
        """Return the last `lines` of libvirtd's log."""
        text = ""
        for name in LOGS:
            with contextlib.suppress(FileNotFoundError):
                text += (self.root / name).read_text()
        return "\n".join(text.splitlines()[-lines:])

    def outside(self, path: Path) -> Path:
        """Return the machine's path of the file that is `path` on this host."""
        return self.root / path.relative_to("/")

    def _serves(self) -> bool:
        """Return whether libvirtd accepts connections."""
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self._socket_path)) != 0:
                return False  # libvirt itself would complain about that on standard error
        with contextlib.suppress(libvirt.libvirtError), self.connect() as connection:
            # Has it look at QEMU, about a second, so that the first guest need not wait for that.
            connection.getCapabilities()
            return True
        return False

    # -- life, driven by the lab -----------------------------------------------------------------

    def stop(self) -> None:
        """Stop the host at once with its guests and all other processes."""
        self._process.communicate()  # the end of its input ends process 1, and that all others
        self._ports.release()

    def _launch(
        self, lab_directory: Path, programs: Programs, kvm: bool, visible: tuple[Path, ...]
    ) -> subprocess.Popen[str]:
        """Start the host's process 1, which ends with this process."""
        owner_pidfd = os.pidfd_open(os.getpid())
        settings = {
            "owner_pidfd": owner_pidfd,
            "hostname": self.name,
            "root": str(self.root),
            "lab_directory": str(lab_directory),
            "visible": [str(path) for path in visible],
            "devices": ["null", "zero", "full", "random", "urandom"] + ["kvm"] * kvm,
            "command": [str(programs.libvirtd)],
            "environment": {"PATH": PROGRAMS, "LIBVIRT_DRIVER_DIR": DRIVERS},
        }
        script = Path(__file__).with_name("hostinit.py")
        command = [
            str(programs.unshare),
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
        ]
        command += [sys.executable, "-I", "-S", str(script), json.dumps(settings)]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=[owner_pidfd],
                start_new_session=True,  # Ctrl-C is for the owner alone
            )
        finally:
            os.close(owner_pidfd)

    def _command(self, *words: str) -> str:
        """Send `hostinit` a command and return its answer."""
        with self._lock:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # its last words say why
                print(*words, file=self._process.stdin, flush=True)
            return self._read_answer(" ".join(words))

    def _read_answer(self, what: str) -> str:
        assert self._process.stdout is not None
        kind, _, rest = self._process.stdout.readline().strip().partition(" ")
        if kind != "ok":
            raise LabError(f"{self.name}: {what}: {rest or 'the host is dead'}")
        return rest

# SPDX-License-Identifier: Apache-2.0
"""The directory with an agent's persistent state: small files that are complete or not there.

Everything here blocks, may raise :class:`OSError`, and belongs in a native thread.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from migprog.compute.state.entries import Entry, decode, name_of
from migprog.core.fields import MAX_WORD

# Unreported ends of weeks, at one migration a minute; and the size of one with all its fields.
MAX_FILES = 20_000
MAX_BYTES = 64 * 1024
# Files that could not be read are left for investigation, only the latest of them.
_MAX_BAD = 100
_BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
_SUFFIX, _NEW, _BAD = ".json", ".new", ".bad"
_PROBE = "probe"
# Beside the directory, as it is no entry.
_KEY = ".key"
_KEYS = re.compile(r"[0-9a-f]{32}")
_LOCKS = pathlib.Path("/proc/locks")


class TakenError(OSError):
    """Another process holds the directory; the text names both."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The entries found, by name, and remarks for the log. ``key``: the agent's own, by which the
    conductors recognize it."""

    entries: Mapping[str, Entry]
    remarks: tuple[str, ...] = ()
    key: str | None = dataclasses.field(default=None, compare=False, repr=False)


class StateDirectory:
    """A directory in ``base`` for the agent of one libvirt.

    No other process holds it at the same time: both would continue the same records. Only regular
    files are read and written in it: a FIFO would hang, and a link may lead anywhere.
    """

    def __init__(self, base: str, connection_uri: str) -> None:
        readable = re.sub(r"[^A-Za-z0-9]+", "-", connection_uri).strip("-")[-48:].strip("-")
        digest = hashlib.sha256(connection_uri.encode()).hexdigest()[:12]
        self.path = pathlib.Path(base) / f"agent-{readable}-{digest}"
        self._descriptor: int | None = None
        self._names: set[str] = set()

    def open(self) -> Contents:
        """Create the directory if need be, lock it, and read all that is in it.

        Raises :class:`TakenError` if another process holds it.
        """
        descriptor = self._take()
        try:
            contents = dataclasses.replace(self._read_all(), key=self._key())
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return contents

    def close(self) -> None:
        """Release the directory."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    def probe(self) -> None:
        """Write as much as the largest entry has, and remove it again: a full disk may still have
        room for a few bytes."""
        self._replace(_PROBE, b" " * MAX_BYTES)
        self._path(_PROBE).unlink()
        self.sync()

    def free_bytes(self) -> int:
        """Return the space that is left for this process."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def write(self, name: str, data: bytes) -> None:
        """Write an entry in place of an older one; :meth:`sync` must follow."""
        if len(data) > MAX_BYTES:
            raise OSError(f"{name}: {len(data)} bytes are more than {MAX_BYTES}")
        if name not in self._names and len(self._names) >= MAX_FILES:
            raise OSError(f"{self.path}: there are {MAX_FILES} files in it")
        try:
            self._replace(name, data)
        except FileNotFoundError:
            # The directory was removed.
            self._make_again()
            self._replace(name, data)
        self._names.add(name)

    def remove(self, name: str) -> None:
        """Remove an entry, if there. No :meth:`sync` follows: reporting it twice is harmless."""
        _clear(self._path(name))
        self._names.discard(name)

    def sync(self) -> None:
        """Make what was written before survive a power cut."""
        assert self._descriptor is not None
        os.fsync(self._descriptor)

    def _take(self) -> int:
        """Create the directory if need be, and lock it; return the locked descriptor."""
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = _holder(descriptor)
            os.close(descriptor)
            raise TakenError(f"{self.path} is locked by {who}") from error
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _make_again(self) -> None:
        descriptor, before = self._take(), self._descriptor
        self._descriptor = descriptor
        self._names.clear()
        if before is not None:
            os.close(before)

    def _path(self, name: str, suffix: str = _SUFFIX) -> pathlib.Path:
        return self.path / f"{name}{suffix}"

    def _replace(self, name: str, data: bytes) -> None:
        new, path = self._path(name, _NEW), self._path(name)
        try:
            _write(new, data)
            try:
                new.replace(path)
            except IsADirectoryError:
                _clear(path)
                new.replace(path)
        except OSError:
            # A partial file would take space.
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise

    def _read_all(self) -> Contents:
        entries: dict[str, Entry] = {}
        remarks = []
        for name in sorted(os.listdir(self.path)):
            path = self.path / name
            if path.suffix == _NEW or path.stem == _PROBE:
                with contextlib.suppress(OSError):
                    _clear(path)
            elif path.suffix == _SUFFIX:
                self._names.add(path.stem)
                try:
                    entries[path.stem] = self._read(path)
                except (OSError, ValueError, RecursionError) as error:
                    remarks.append(self._set_aside(path, str(error)))
        self._remove_bad()
        return Contents(entries, tuple(remarks))

    def _key(self) -> str:
        """Read the agent's key, or make one; it is a new one each time if it cannot be stored."""
        path = self.path.with_name(f"{self.path.name}{_KEY}")
        with contextlib.suppress(OSError, ValueError):
            key = _read(path, MAX_WORD).decode()
            if _KEYS.fullmatch(key):
                return key
        key = new_key()
        with contextlib.suppress(OSError):
            _write(path, key.encode(), 0o600)
        return key

    def _read(self, path: pathlib.Path) -> Entry:
        entry = decode(_read(path, MAX_BYTES))
        if name_of(entry) != path.stem:
            raise ValueError(f"has the entry {name_of(entry)}")
        return entry

    def _set_aside(self, path: pathlib.Path, why: str) -> str:
        self._names.discard(path.stem)
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(_BAD))
        return (
            f"cannot read {path}: {why}; renamed to {path.stem}{_BAD}, its content is not reported"
        )

    def _remove_bad(self) -> None:
        bad = [path for path in self.path.iterdir() if path.suffix == _BAD]
        with contextlib.suppress(OSError):
            bad.sort(key=lambda path: path.lstat().st_mtime)
        for path in bad[: max(0, len(bad) - _MAX_BAD)]:
            with contextlib.suppress(OSError):
                path.unlink()


def _holder(descriptor: int) -> str:
    """Name the process that holds the lock of an open directory, if the kernel shows it."""
    status = os.fstat(descriptor)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    with contextlib.suppress(OSError, ValueError):
        for line in _LOCKS.read_text().splitlines():
            words = line.split()
            # A waiting process has an extra arrow; one of another PID namespace has no number.
            if words[1:2] == ["FLOCK"] and f"{device}:{status.st_ino}" in words:
                pid = int(words[4])
                return f"process {pid}" if pid > 0 else "a process of another container"
    return "another process, maybe on another host"


def _read(path: pathlib.Path, max_bytes: int) -> bytes:
    """Read a regular file; raises :class:`OSError` and :class:`ValueError`."""
    # Without O_NONBLOCK opening a FIFO waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"has more than {max_bytes} bytes")
    return data


def _clear(path: pathlib.Path) -> None:
    """Remove a file of this name; a directory is renamed with its contents."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        path.rename(path.with_name(f"{path.name}-{secrets.token_hex(4)}{_BAD}"))


def new_key() -> str:
    """Return a new random secret."""
    return secrets.token_hex(MAX_WORD // 2)


def _write(path: pathlib.Path, data: bytes, mode: int = 0o640) -> None:
    """Write a new file in place of anything with this name, and flush it to disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        _clear(path)
        descriptor = os.open(path, flags, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def boot_id() -> str:
    """Return the kernel's id of this boot; empty if it cannot be read."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""

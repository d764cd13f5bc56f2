# SPDX-License-Identifier: Apache-2.0
"""Check once whether libvirt can be used as the agent uses it, for ``migprog-status``."""

import contextlib
from dataclasses import dataclass

import libvirt

from migprog import exception


class LibvirtUnusable(exception.MigprogError):
    """libvirt cannot be reached, or refuses the connection; the text is libvirt's."""


@dataclass(frozen=True, slots=True)
class Probe:
    """libvirt's answer. ``read_write_error``: why it refuses a read-write connection; None if it
    does not, or none was asked for."""

    host: str
    version: str
    read_write_error: str | None


def probe(uri: str, read_write: bool) -> Probe:
    """Connect to a libvirt read-only, and with ``read_write`` read-write too; close both.

    Raises :class:`LibvirtUnusable`. It may hang for as long as libvirt does.
    """
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        with contextlib.closing(libvirt.openReadOnly(uri)) as connection:
            number = connection.getLibVersion()
            host = connection.getHostname()
    except libvirt.libvirtError as error:
        raise LibvirtUnusable(str(error)) from error
    refused = None
    if read_write:
        try:
            libvirt.open(uri).close()
        except libvirt.libvirtError as error:
            refused = str(error)
    version = f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
    return Probe(host, version, refused)

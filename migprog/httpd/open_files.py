# SPDX-License-Identifier: Apache-2.0
"""The limit of open files of this process: each connection is one."""

import logging
import resource

LOG = logging.getLogger(__name__)

# Of everything but connections of clients.
_OTHERS = 256


def allow_open_files(connections: int, option: str) -> None:
    """Raise the soft limit of open files as far as so many connections need it and the hard limit
    permits it. ``option``: the option that has the server's address, for the log."""
    needed = connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    possible = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if possible > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < needed:
        LOG.warning(
            "%s: the limit of open files is %d, %d connections need %d; further ones will wait: "
            "raise it (LimitNOFILE of systemd)",
            *(option, possible, connections, needed),
        )

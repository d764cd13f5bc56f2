# SPDX-License-Identifier: Apache-2.0
"""How much memory the process that measures has itself."""

import os


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

# SPDX-License-Identifier: Apache-2.0
"""An agent's wall clock that can be set, by libfaketime.

To set the machine's own would be felt by everybody on it, and a time namespace has no wall clock of
its own. The monotonic clock stays the system's, as it does when a clock is set.
"""

import glob
import pathlib
from collections.abc import Mapping

TAKEN_UP_SECONDS = 1.0
_LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Clock:
    """The clock of whoever runs with ``environment``; ``path`` is the file that says what it shows.

    A change is taken up within :data:`TAKEN_UP_SECONDS`.
    """

    def __init__(self, path: pathlib.Path) -> None:
        libraries = glob.glob(_LIBRARY)
        if not libraries:
            raise RuntimeError(f"{_LIBRARY} is missing: install the package libfaketime")
        self._path = path
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": libraries[0],
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_CACHE_DURATION": f"{TAKEN_UP_SECONDS:.0f}",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set_forward(0)

    def set_forward(self, seconds: int) -> None:
        """Set the clock ahead by so much, or back if ``seconds`` is negative."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds:+}")
        new.replace(self._path)

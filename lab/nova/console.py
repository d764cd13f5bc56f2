# SPDX-License-Identifier: Apache-2.0
"""What the lab is doing, in a line each, for whoever waits."""

import contextlib
import time
from collections.abc import Iterator

_began = time.monotonic()


def say(*words: object) -> None:
    """Print a line with the seconds since this process started."""
    print(f"{time.monotonic() - _began:6.0f} s ", *words, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins, and how long it took if it took seconds."""
    say(what)
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    if took >= 5:
        say(f"  ... done in {took:.0f} s")

# SPDX-License-Identifier: Apache-2.0
"""Print what the lab is doing, a line each."""

import contextlib
import time
from collections.abc import Iterator

_began = time.monotonic()


def say(*words: object) -> None:
    """Print a line with the seconds since this process started."""
    print(f"{time.monotonic() - _began:6.0f} s ", *words, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print what begins, and its duration if it is seconds."""
    say(what)
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    if took >= 5:
        say(f"  ... done in {took:.0f} s")

# SPDX-License-Identifier: Apache-2.0
"""Where a watch is shown: a live screen, or lines of text or JSON."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, TextIO

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from migprog.cli import events, text, view
from migprog.cli.events import Event
from migprog.cli.state import State
from migprog.cli.view import Frame

_USUAL_SIZE = (80, 24)


class Screen(Protocol):
    def show(self, state: State, news: Sequence[Event], now: float) -> None:
        """Show what is known at ``now``, the API's clock, and what is new."""
        ...


class Lines:
    """A line for each event; ``as_json``: a document a line."""

    def __init__(self, output: TextIO, as_json: bool) -> None:
        self._output = output
        self._as_json = as_json
        self._encoding = output.encoding or "utf-8"

    def show(self, state: State, news: Sequence[Event], now: float) -> None:
        zone = datetime.now().astimezone().tzinfo
        assert zone is not None
        for event in news:
            line = events.json_line(event) if self._as_json else events.text_line(event, zone)
            if line is not None:
                self._output.write(text.encodable(line, self._encoding) + "\n")
        self._output.flush()


class LiveScreen:
    """The live view on a terminal, redrawn at each call. ``scope`` says what is watched."""

    def __init__(self, console: Console, live: Live, scope: str) -> None:
        self._console = console
        self._live = live
        self._scope = scope

    def show(self, state: State, news: Sequence[Event], now: float) -> None:
        # As it is now: rich goes by COLUMNS where that is set, as libreadline does it once.
        with contextlib.suppress(OSError, ValueError):
            columns, lines = os.get_terminal_size(self._console.file.fileno())
            # A serial console does not know its size.
            usual = shutil.get_terminal_size(_USUAL_SIZE)
            size = ConsoleDimensions(columns or usual.columns, lines or usual.lines)
            self._console.size = size
        if state.taken_at is None:
            self._live.update(Text("waiting for the API's first answer"), refresh=True)
            return
        zone = datetime.now().astimezone().tzinfo
        assert zone is not None
        frame = Frame(
            columns=self._console.width,
            lines=self._console.height,
            now=now,
            zone=zone,
            scope=self._scope,
            taken_at=state.taken_at,
            outage=state.outage,
            encoding=self._console.encoding,
        )
        self._live.update(Group(*view.lines(state.fleet, frame)), refresh=True)

    def say(self, line: str) -> None:
        """Write a line that stays, above a view that is among other lines."""
        self._console.print(Text(line))


@contextlib.contextmanager
def live(
    scope: str, output: TextIO | None = None, *, among_lines: bool = False
) -> Iterator[LiveScreen]:
    """Show a live view while the block lasts; the terminal is as before afterwards.

    ``among_lines``: the view is below what the terminal shows, and only as high as it must be.
    """
    console = Console(file=output or sys.stdout, highlight=False, markup=False, emoji=False)
    with Live(
        console=console,
        screen=not among_lines,
        transient=among_lines,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as shown:
        yield LiveScreen(console, shown, scope)

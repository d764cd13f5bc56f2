# SPDX-License-Identifier: Apache-2.0
"""What the tools that judge have in common: seed, exit status, figures as JSON; and of
``tools/faults`` and ``tools/soak`` also options, document and table.

These two print a summary and write the same document as JSON: ``suite``, ``seed``, ``right``
(whether all was right), ``migrations``, the counts of each kind of finding, ``groups`` (the same
counts by kind of fault or by ending), ``findings`` (each with ``group``, ``what`` and ``text``),
and figures of the suite's own.
"""

import argparse
import json
import pathlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

Document = dict[str, Any]
# Exit status: all was right; something was not; the suite could not run.
RIGHT, WRONG, FAILED = 0, 1, 2
_INTERRUPTED, _TERMINATED = 130, 143


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of all suites."""
    parser = argparse.ArgumentParser(
        prog=f"tools/{name}",
        description=description,
        epilog=f"Exit status: {RIGHT}: all was right; {WRONG}: something was not, and the output "
        f"says what; {FAILED}: the suite could not run.",
    )
    parser.add_argument(
        "--seed", type=int, metavar="S", help="seed of all random choices; default: a new one"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="write the figures to this file"
    )
    parser.add_argument(
        "--keep-logs",
        type=pathlib.Path,
        metavar="DIR",
        help="write the logs of all processes to this directory and keep them",
    )
    return parser


def run(
    name: str,
    arguments: argparse.Namespace,
    measure: Callable[[int, pathlib.Path], Document],
    text: Callable[[Document], str],
) -> NoReturn:
    """Run ``measure`` with the seed and a directory, print and write its document, and exit.

    For what ``measure`` may raise see :func:`carry_out`.
    """

    def measure_in(seed: int) -> Document:
        with tempfile.TemporaryDirectory(prefix=f"migprog-{name}-") as temporary:
            directory = arguments.keep_logs or pathlib.Path(temporary)
            directory.mkdir(parents=True, exist_ok=True)
            return {"suite": name, "seed": seed, **measure(seed, directory)}

    def show(document: Document) -> None:
        for finding in document["findings"]:
            print(f"{finding['group']}: {finding['what'].upper()}: {finding['text']}")
        print(text(document))
        print(f"{name}: {'right' if document['right'] else 'WRONG'}, seed {document['seed']}")

    carry_out(name, arguments, measure_in, show)


def carry_out(
    name: str,
    arguments: argparse.Namespace,
    measure: Callable[[int], Document],
    show: Callable[[Document], None] = lambda document: None,
) -> NoReturn:
    """Run ``measure`` with the seed, show and write its document, and exit by its ``right``.

    ``arguments`` has ``seed`` and ``json``. ``measure`` may raise :class:`RuntimeError`,
    :class:`TimeoutError`, :class:`OSError` and :class:`ValueError` when it cannot run.
    """
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        document = measure(seed)
    except (RuntimeError, TimeoutError, OSError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    show(document)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    sys.exit(RIGHT if document["right"] else WRONG)


def say(text: str) -> None:
    """Print a line with the time of day to stderr."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Return the lines of a table in reStructuredText. The first ``words`` columns are aligned
    left, the others, which have numbers, right."""
    every = [headings, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(headings))]
    ruler = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]
    return [ruler, lines[0], ruler, *lines[1:], ruler]

# SPDX-License-Identifier: Apache-2.0
"""Print the manual page, or the bash completion, of one command: ``page.py man COMMAND [SUB]``.

Both come from the argparse parser that prints ``--help``. Each command needs a process of its own:
it chooses threads or eventlet when it is imported.
"""

import argparse
import contextlib
import importlib.metadata
import os
import sys
from typing import Any, NoReturn

import shtab
from argparse_manpage.manpage import Manpage

# What a person runs without being an administrator; the others are in section 8.
_SECTION_1 = ("migprog", "migprog-replay")


class _Found(BaseException):
    """Raised in place of printing; a BaseException, so no ``except Exception`` of a command catches
    it."""


def find(command: str, *arguments: str) -> argparse.ArgumentParser:
    """Return the parser that prints the help of a command of ours."""
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=command)
    found: list[argparse.ArgumentParser] = []

    def stop(parser: argparse.ArgumentParser, *_arguments: Any) -> NoReturn:
        found.append(parser)
        raise _Found

    argparse.ArgumentParser.print_help = stop  # type: ignore[assignment, method-assign]
    # The defaults that root sees, whoever writes the pages.
    os.geteuid = lambda: 0
    sys.argv = [command, *arguments, "--help"]
    with contextlib.suppress(_Found, SystemExit):
        entry.load()()
    if not found:
        raise RuntimeError(f"{command}: --help is not printed by argparse")
    parser = found[0]
    parser.prog = " ".join((command, *arguments))
    return parser


def section(command: str) -> int:
    """Return the section of the manual that a command belongs to."""
    return 1 if command.partition(" ")[0] in _SECTION_1 else 8


def manual(parser: argparse.ArgumentParser) -> str:
    """Return the page in roff, without a date and a version, which would change it."""
    name = parser.prog.replace(" ", "-")
    purpose = (parser.description or "").strip().partition(". ")[0].strip().rstrip(".")
    data = {
        "project_name": "migprog",
        "manual_title": "migprog",
        "manual_section": section(parser.prog),
        "description": " ".join(purpose.split()),
    }
    page = Manpage(parser, _data=data)
    page.prog, page.date = name, ""
    return f"{page!s}".rstrip() + "\n"


if __name__ == "__main__":
    kind, command, *arguments = sys.argv[1:]
    parser = find(command, *arguments)
    print(manual(parser) if kind == "man" else shtab.complete(parser, shell="bash"), end="")

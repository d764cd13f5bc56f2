# SPDX-License-Identifier: Apache-2.0
"""The commands that README and manual show, and the test that runs each.

A block of commands has a name (``:name:`` of its ``code-block``), or is known by its first words.
``documents.txt`` has the test of each; ``unit/test_commands_of_documents.py`` fails for a block
that is not there.
"""

import os
import pathlib
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "doc/source"
BIN = pathlib.Path(sys.executable).parent
_TABLE = pathlib.Path(__file__).with_suffix(".txt")
_SECONDS = 120
# Programs with which a line of a literal block is taken for a command.
_PROGRAMS = (
    "apt-get|curl|export|git|journalctl|kill|mariadb|mariadb-dump|migprog[a-z-]*|mysql|openstack|"
    "pg_dump|pg_restore|pip|promtool|psql|python3?|rabbitmqctl|rm|sphinx-build|sudo|systemctl|"
    "tools/[a-z-]+|virsh|(?:\\.venv|/[\\w/.-]*)/bin/[\\w.-]+"
)
_COMMAND = re.compile(rf"(?:\$ |(?:{_PROGRAMS}) +(?![=:])\S)")
_LITERAL = re.compile(
    r"^( *)(?:\.\. code-block:: (console|text|none|bash|shell|sh)|(?!\.\. ).*::)$"
)
_NAME = re.compile(r"^ *:name: (\S+)$")


class Block(NamedTuple):
    """A block of commands: its page, its name, and its lines."""

    page: str
    name: str
    text: str

    @property
    def key(self) -> str:
        return f"{self.page}: {self.name}"

    def commands(self) -> list[str]:
        """Return the command lines, without what they print and without comments."""
        lines = self.text.splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        lines = [re.sub(r"(^|\s+)# .*$", "", line) for line in lines]
        return _joined(line for line in lines if line.strip())


def _joined(lines: Iterable[str]) -> list[str]:
    """Return commands, each with the lines to which a quoted argument continues."""
    commands: list[str] = []
    is_open = False
    for line in lines:
        if is_open:
            commands[-1] += f"\n{line}"
        else:
            commands.append(line)
        is_open = commands[-1].count("'") % 2 == 1
    return commands


def pages() -> dict[str, pathlib.Path]:
    """Return all pages by their names: below ``doc/source`` or below the root."""
    named = {path.name: path for path in ROOT.glob("*.rst")}
    return named | {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.rst")}


def blocks() -> list[Block]:
    return [block for page, path in pages().items() for block in _of_page(page, path.read_text())]


def _of_page(page: str, text: str) -> Iterator[Block]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        head = _LITERAL.match(line)
        if head is None:
            continue
        name, body = _body(lines[number + 1 :], len(head[1]))
        commands = [each for each in body.splitlines() if _COMMAND.match(each)]
        if commands:
            words = commands[0].removeprefix("$ ").split()
            yield Block(page, name or " ".join(words[:2]), body)


def _body(lines: list[str], indent: int) -> tuple[str | None, str]:
    """Return the name and the text of a block that begins with these lines."""
    name: str | None = None
    body: list[str] = []
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        if not body and (named := _NAME.match(line)):
            name = named[1]
        elif body or line.strip():
            body.append(line)
    return name, textwrap.dedent("\n".join(body)).strip() + "\n"


def block(page: str, name: str) -> Block:
    """Raises :class:`LookupError`."""
    for each in _of_page(page, pages()[page].read_text()):
        if each.name == name:
            return each
    raise LookupError(f"{page} has no block of commands {name!r}")


def script(page: str, name: str, ours: Mapping[str, str]) -> str:
    """Return the commands of a block, with our names in place of the page's.

    Raises :class:`LookupError` if the block or one of the page's names is not there.
    """
    text = "\n".join(block(page, name).commands())
    for theirs, our in ours.items():
        if theirs not in text:
            raise LookupError(f"{page}: {name} has no {theirs!r}")
        text = text.replace(theirs, our)
    return text


def run(
    page: str,
    name: str,
    ours: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: pathlib.Path | str = ROOT,
    seconds: float = _SECONDS,
) -> str:
    """Run a block as a reader does, in a shell that ends at the first error; return what it
    printed. migprog's commands are those of this environment."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script(page, name, ours or {})],
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | dict(environment or {}),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{page}: {name}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_by() -> dict[str, str]:
    """Return the test of each block by the block's key, from the table beside this module."""
    rows = (line.split(" | ") for line in _TABLE.read_text().splitlines() if "|" in line)
    return {f"{page}: {name}": test for page, name, test in rows}

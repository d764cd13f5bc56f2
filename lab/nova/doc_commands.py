# SPDX-License-Identifier: Apache-2.0
"""The commands and files of a page of the documentation, for use in the lab.

A page's examples name servers, passwords and paths that are the reader's to choose: the lab's are
put in their place, and nothing else is changed.
"""

import re
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path

# As far as lines have the indentation of the first one.
_BLOCK = r"\n\n(( {3,})\S.*\n(?:\2.*\n|[ \t]*\n)*)"


class Page:
    """A page of ``doc/source`` in a checkout; ``ours`` is what stands for the page's own names."""

    def __init__(self, source: Path, name: str, ours: Mapping[str, str]) -> None:
        self._name = name
        self._text = (source / "doc/source" / name).read_text()
        self._ours = ours

    def after(self, *texts: str) -> str:
        """The first literal block after a piece of text, found after another, and so on."""
        rest = self._text
        for text in texts:
            _, found, rest = rest.partition(text)
            if not found:
                return self._adapted(None, text)
        return self._adapted(re.search("::" + _BLOCK, rest), texts[-1])

    def named(self, name: str) -> str:
        """The code block with ``:name: NAME``."""
        return self._adapted(re.search(f":name: {re.escape(name)}{_BLOCK}", self._text), name)

    def of_language(self, language: str) -> str:
        """The first code block in a language."""
        found = f"code-block:: {re.escape(language)}(?:\n +:.*)*{_BLOCK}"
        return self._adapted(re.search(found, self._text), language)

    def names(self) -> list[str]:
        """Return the names of all code blocks that have one."""
        return re.findall(r"(?m)^ *:name: (\S+)$", self._text)

    def _adapted(self, block: re.Match[str] | None, what: str) -> str:
        if block is None:
            raise LookupError(f"{self._name} has no block {what!r}")
        text = textwrap.dedent(block[1]).strip() + "\n"
        for theirs, ours in self._ours.items():
            text = text.replace(theirs, ours)
        return text


def commands(block: str) -> list[list[str]]:
    """The command lines of a block, as words; comments and what a command prints are left out."""
    joined = re.sub(r" *\\\n\s*", " ", block)
    lines = joined.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    words = (shlex.split(line, comments=True) for line in lines)
    return [command for command in words if command]


def statements(block: str) -> list[str]:
    """Return the statements of a block of SQL."""
    return [line.strip().rstrip(";") for line in block.splitlines() if line.strip()]

# SPDX-License-Identifier: Apache-2.0
"""The list of all files, each with what it says of itself: :doc:`contributor/files`.

Without Sphinx, so that a test can have it, too.
"""

import ast
import pathlib
import re
from collections.abc import Iterator

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Folders whose files are listed, and the ends of these files' names.
LISTED = ("migprog", "lab", "benchmarks")
_LISTED_ENDS = (".py", ".mjs")
# Of a folder without __init__.py.
_OF_FOLDERS = {
    "benchmarks": "What migprog costs: a program for each thing, and what they share.",
    "lab/soak/stand_in": "On the ``PYTHONPATH`` of soaked agents.",
    "migprog/ui/files": "The page's modules, which browsers run as they are.",
}
# The names of tests say what they test; vendored files are not ours.
_UNLISTED = (
    "migprog/db/alembic",
    "migprog/tests/functional",
    "migprog/tests/unit",
    "migprog/ui/files/vendor",
)
_ROLE = re.compile(r":(?:mod|class|func|meth|data|doc):`~?([^`]+)`")


def listed_files() -> Iterator[pathlib.Path]:
    """Yield the files that :doc:`contributor/files` lists, below the root of the checkout."""
    for folder in LISTED:
        for path in sorted((_ROOT / folder).rglob("*")):
            name = path.relative_to(_ROOT)
            if path.suffix in _LISTED_ENDS and not name.as_posix().startswith(_UNLISTED):
                yield name


def summary(name: pathlib.Path) -> str:
    """Return what a file says at its top of what is in it, on one line; empty if it says
    nothing."""
    text = (_ROOT / name).read_text()
    if name.suffix == ".py":
        said = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0]
    else:
        comment = re.match(r"(?:// SPDX.*\n)?((?://.*\n)*)", text)
        said = re.sub(r"(?m)^// ?", "", comment[1] if comment else "").partition("\n\n")[0]
    said = _ROLE.sub(r"``\1``", " ".join(said.split()))
    return re.sub(r"::$", ".", said)


def text() -> str:
    """Return all files with their summaries, a table for each folder."""
    by_folder: dict[str, list[pathlib.Path]] = {}
    for name in listed_files():
        by_folder.setdefault(name.parent.as_posix(), []).append(name)
    return "\n\n".join(
        part
        for folder, names in sorted(by_folder.items(), key=_place)
        if (part := _table(folder, names))
    )


def _place(item: tuple[str, list[pathlib.Path]]) -> tuple[int, str]:
    return LISTED.index(item[0].partition("/")[0]), item[0]


def _table(folder: str, names: list[pathlib.Path]) -> str:
    said = "".join(summary(name) for name in names if name.name == "__init__.py")
    of_folder = said or _OF_FOLDERS.get(folder, "")
    rows = [
        f"   * - ``{name.stem if name.suffix == '.py' else name.name}``\n     - {summary(name)}"
        for name in names
        if name.name != "__init__.py"
    ]
    if not rows and not of_folder:
        return ""
    title = f"{folder}/"
    head = f"{title}\n{'=' * len(title)}\n\n{of_folder}\n\n"
    table = ".. list-table::\n   :widths: 26 74\n\n" + "\n".join(rows) if rows else ""
    return f"{head}{table}\n"

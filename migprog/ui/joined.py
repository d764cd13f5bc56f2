# SPDX-License-Identifier: Apache-2.0
"""Modules of JavaScript as one, and style sheets as one: a browser asks once, and one text is
compressed better than thirty.

Each module keeps a scope of its own, so nothing in it is renamed. Known are the forms that our
modules use, each in a line of its own::

    import { name, other as alias } from "./module.mjs";
    import * as alias from "./module.mjs";
    export const name = ...     export function name(...)     export class Name ...

Modules of others are imported as they are, by their names on the server. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

_IMPORT = re.compile(r'import (\{ [\w$, ]+ \}|\* as \w+|\w+) from "\./([\w./-]+)";')
_EXPORT = re.compile(r"export ((?:const|class|(?:async )?function)\*? (\w+).*)")
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*.*?\*/|//[^\n]*)\n", re.DOTALL | re.MULTILINE)
_STYLE_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
# Where a style sheet of ours has them, spaces mean nothing beside these.
_STYLE_SPACES = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")
_KEYWORDS = ("import ", "export ")


def join(modules: Mapping[str, str], entry: str, others: Mapping[str, str]) -> str:
    """Return the module ``entry`` with all that it imports, without comments of whole lines.

    ``modules``: texts by name. ``others``: by name what they are called on the server.
    Raises :class:`ValueError` for a form that is not known, or modules that import each other.
    """
    hoisted: dict[str, None] = {}
    scopes: dict[str, str] = {}
    _add(entry, modules, others, hoisted, scopes, ())
    return "\n".join([*hoisted, "const modules = {};", *scopes.values(), ""])


def join_styles(texts: Iterable[str]) -> str:
    """Return style sheets as one, without comments and spaces that mean nothing. In their quoted
    texts there must be neither."""
    text = _STYLE_COMMENT.sub("", "\n".join(texts))
    return _STYLE_SPACES.sub(lambda found: found[1] or "", text).replace(";}", "}").strip()


def _add(
    name: str,
    modules: Mapping[str, str],
    others: Mapping[str, str],
    hoisted: dict[str, None],
    scopes: dict[str, str],
    importers: tuple[str, ...],
) -> None:
    if name in importers:
        raise ValueError(f"{' imports '.join([*importers, name])}")
    if name in scopes:
        return
    exported: list[str] = []
    lines: list[str] = []
    for line in _COMMENT.sub("", modules[name]).splitlines():
        if not line.startswith(_KEYWORDS):
            lines.append(line)
        elif found := _EXPORT.fullmatch(line):
            lines.append(found[1])
            exported.append(found[2])
        elif not (found := _IMPORT.fullmatch(line)):
            raise ValueError(f"{name}: {line!r} is in no form that is known")
        elif found[2] in others:
            hoisted[f'import {found[1]} from "./{others[found[2]]}";'] = None
        else:
            _add(found[2], modules, others, hoisted, scopes, (*importers, name))
            lines.append(f'const {_names(found[1])} = modules["{found[2]}"];')
    body = "\n".join(_without_blank(lines))
    scopes[name] = f'{{\n{body}\nmodules["{name}"] = {{ {", ".join(exported)} }};\n}}'


def _names(imported: str) -> str:
    return imported.removeprefix("* as ").replace(" as ", ": ")


def _without_blank(lines: list[str]) -> Iterator[str]:
    return (line.strip() for line in lines if line.strip())

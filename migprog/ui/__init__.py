# SPDX-License-Identifier: Apache-2.0
"""The page at ``/ui/``: its files as they are served, hashed and compressed once a process.

Our own modules of JavaScript are served as one, and so are all style sheets, which
:mod:`migprog.ui.joined` makes; all else is served as it is. Each name has the hash of its content,
so browsers may keep a file for ever. ``index.html`` has these names. There is no build step.
"""

import functools
import gzip
import hashlib
import pathlib
import string
from collections.abc import Mapping
from dataclasses import dataclass

from migprog.ui import joined

_HERE = pathlib.Path(__file__).parent
_FILES = _HERE / "files"
_ENTRY = "app.mjs"
# What all style sheets are served as.
_STYLE = "page.css"
_VENDOR = "vendor/"
# What the page itself names.
_NAMED = {
    "app": _ENTRY,
    "icon": "icon.svg",
    "style": _STYLE,
    "htm": "vendor/htm/htm.mjs",
    "preact": "vendor/preact/preact.mjs",
    "plot": "vendor/uplot/uPlot.iife.min.js",
}
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HTML = "text/html; charset=utf-8"
_HASH_BYTES = 9


@dataclass(frozen=True, slots=True)
class File:
    """``tag``: a hash of the content."""

    content: bytes
    compressed: bytes
    media_type: str
    tag: str


@functools.cache
def load(auth: str, password_login: bool) -> Mapping[str, File]:
    """Return the files by path below ``/ui/``; the page itself is at the empty path.

    ``auth``: ``[api] auth_strategy``. ``password_login``: whether a password may be given.
    """
    contents = sources()
    own = {
        name: contents.pop(name).decode()
        for name in list(contents)
        if name.endswith(".mjs") and not name.startswith(_VENDOR)
    }
    # Ours is the last: it has the last word.
    styles = sorted((name for name in contents if name.endswith(".css")), reverse=True)
    contents[_STYLE] = joined.join_styles(contents.pop(name).decode() for name in styles).encode()
    hashed = {name: _hashed(name, content) for name, content in contents.items()}
    page = joined.join(own, _ENTRY, hashed).encode()
    contents[_ENTRY], hashed[_ENTRY] = page, _hashed(_ENTRY, page)
    index = string.Template((_HERE / "index.html").read_text()).substitute(
        {key: hashed[name] for key, name in _NAMED.items()},
        auth=auth,
        password_login=str(password_login).lower(),
    )
    return {
        "": _file(index.encode(), _HTML),
        **{
            hashed[name]: _file(content, _KINDS[pathlib.PurePosixPath(name).suffix])
            for name, content in contents.items()
        },
    }


def sources() -> dict[str, bytes]:
    """Return the content of each file that the page is made of, by path."""
    return {
        path.relative_to(_FILES).as_posix(): path.read_bytes()
        for path in sorted(_FILES.rglob("*"))
        if path.suffix in _KINDS
    }


def _hashed(name: str, content: bytes) -> str:
    path = pathlib.PurePosixPath(name)
    return f"{path.stem.partition('.')[0]}-{_tag(content)}{path.suffix}"


def _file(content: bytes, media_type: str) -> File:
    return File(content, gzip.compress(content, 9, mtime=0), media_type, _tag(content))


def _tag(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_HASH_BYTES).hexdigest()

# SPDX-License-Identifier: Apache-2.0
"""Documents as JSON: by orjson where it is installed, otherwise by the standard library.

Both write the same values. orjson is several times as fast, writes no blanks, and writes null for a
number that JSON does not have.
"""

import json
from collections.abc import Callable
from typing import Any

import falcon
from falcon import media

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]


def _by_the_standard_library(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _by_orjson(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:
        # It has a whole number of more than 64 bits.
        return _by_the_standard_library(document)


# Returns a document's bytes. Keys of dictionaries are texts.
dump: Callable[[Any], bytes] = _by_the_standard_library if orjson is None else _by_orjson


def install(app: "falcon.App[Any, Any]") -> None:
    """Have a falcon application write its documents so."""
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = media.JSONHandler(dumps=dump)

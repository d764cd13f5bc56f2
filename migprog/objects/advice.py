# SPDX-License-Identifier: Apache-2.0
"""Convert a migration's advice, and operators' actions, to the JSON text of a column, and back."""

import json
from collections.abc import Mapping
from typing import Any


def to_store(entries: tuple[Mapping[str, Any], ...] | None) -> str | None:
    """Return the text to store; the longest possible fits into a column of 64 KiB."""
    if entries is None:
        return None
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":"))


def from_store(text: str | None) -> tuple[Any, ...] | None:
    return None if text is None else tuple(json.loads(text))

# SPDX-License-Identifier: Apache-2.0
"""A migration's advice in one column: a JSON list of the entries of a report."""

import json

from migprog.core.fields import Advice


def to_store(advice: tuple[Advice, ...] | None) -> str | None:
    """Return the text to store; the longest possible fits into a column of 64 KiB."""
    if advice is None:
        return None
    return json.dumps(advice, ensure_ascii=False, separators=(",", ":"))


def from_store(text: str | None) -> tuple[Advice, ...] | None:
    return None if text is None else tuple(json.loads(text))

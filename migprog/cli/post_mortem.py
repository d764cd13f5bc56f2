# SPDX-License-Identifier: Apache-2.0
"""A migration's summary as a few lines for people. Pure: the API's document in, text out."""

from collections.abc import Mapping
from typing import Any

from migprog.cli import text

# The API's keys, in the order in which they are read.
SENTENCES = ("outcome", "time", "measures", "forecast", "actions")


def sentences(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the sentences of a summary, of a newer API too."""
    known = summary.get("sentences")
    known = known if isinstance(known, Mapping) else {}
    return {name: text.printable(known[name]) for name in SENTENCES if known.get(name)}


def lines(name: str, summary: Mapping[str, Any]) -> list[str]:
    """Return at most five lines: the server's ``name`` with the outcome, the others below it."""
    said = sentences(summary)
    outcome = said.pop("outcome", "")
    return [f"{text.printable(name)}: {outcome}", *(f"  {each}" for each in said.values())]

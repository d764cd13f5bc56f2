# SPDX-License-Identifier: Apache-2.0
"""An agent's answer to a request, and the reasons for which it may refuse one."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from migprog.core import fields


class Reason(enum.StrEnum):
    """A reason in one word, which the API has as an error code, too; ``message`` is the sentence.

    Each kind of request has its own.
    """

    message: str

    def __new__(cls, word: str, message: str) -> Self:
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.message = message
        return reason

    @classmethod
    def of(cls, word: Any) -> Self | None:
        """Return the reason of a word; None for none, and for one of a later version."""
        return next((each for each in cls if each.value == word), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """``refused``: why the agent does nothing; None if it acts.

    ``reason``: the same in one word; None where there is none, or one of a later version.
    """

    refused: str | None = None
    reason: Reason | None = None

    @classmethod
    def of(cls, reason: Reason) -> Self:
        return cls(reason.message, reason)

    def to_wire(self) -> dict[str, Any]:
        return {"refused": self.refused, "reason": self.reason and self.reason.value}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any] | None, reasons: type[Reason]) -> Self:
        """Read an answer, of an older or a newer agent too."""
        wire = wire or {}
        refused = wire.get("refused")
        return cls(
            None if refused is None else fields.text(str(refused)), reasons.of(wire.get("reason"))
        )

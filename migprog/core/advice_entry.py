# SPDX-License-Identifier: Apache-2.0
"""An entry of a migration's advice, as reports have it and the database keeps it.

:class:`migprog.core.steering.advice.Advice` is the decision that it is made of.
"""

from typing import Annotated, Any, TypedDict

from migprog.core import fields

# The newest entries are kept.
MAX_ADVICE = 20


class AdviceEntry(TypedDict):
    """What steering decided about a migration.

    ``at`` is when that was, ``works_by`` when it must have worked; both in seconds since the epoch.
    ``action``, ``reason`` and ``state`` are words that later versions may add to; ``figures`` are
    numbers by name.
    """

    at: Annotated[float, fields.seconds]
    works_by: Annotated[float | None, fields.or_none(fields.seconds)]
    action: Annotated[str, fields.word]
    reason: Annotated[str, fields.word]
    message: Annotated[str, fields.text]
    figures: Annotated[dict[str, float], fields.figures]
    state: Annotated[str, fields.word]


_entry = fields.entry_of(AdviceEntry, "advice")


def rule(value: Any) -> tuple[AdviceEntry, ...]:
    """Return a migration's advice, the newest last; a rule of :mod:`migprog.core.fields`.

    Of more than :data:`MAX_ADVICE` entries the last are kept; an entry that breaks a rule is
    dropped, which raises :class:`fields.Partly` if others are left.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of advice")
    entries: list[AdviceEntry] = []
    why: ValueError | None = None
    for each in value[-MAX_ADVICE:]:
        try:
            entries.append(_entry(each))
        except ValueError as error:
            why = error
    if why is not None:
        raise fields.Partly(str(why), tuple(entries)) if entries else why
    return tuple(entries)

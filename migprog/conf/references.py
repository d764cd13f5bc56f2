# SPDX-License-Identifier: Apache-2.0
"""Values that refer to options which do not exist: mostly passwords with a dollar sign.

oslo.config puts the value of an option in place of ``$NAME``, when a value is read, and its error
names neither the option that is read nor its file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

# As in oslo.config's Template: $$ is a dollar sign.
_REFERENCE = re.compile(
    r"\$(?:\$|(?P<plain>[_a-z][._a-z0-9]*)|\{(?P<braced>[_a-z][._a-z0-9]*)\})", re.IGNORECASE
)

Sections = Mapping[str, Mapping[str, Iterable[str]]]


def dangling(sections: Sections, exists: Callable[[str, str], bool]) -> Iterator[str]:
    """Name the options of ``sections`` whose values refer to nothing, each with the rule.

    Of the reference its first character is shown: it may be of a password. ``exists`` tells whether
    there is an option of a group and name.
    """

    def is_there(group: str, name: str) -> bool:
        prefix, _, option = name.rpartition(".")
        places = [(prefix, option)] if prefix else [(group, name), ("DEFAULT", name)]
        return any(
            option in sections.get(place, {}) or exists(place, option) for place, option in places
        )

    for group, options in sections.items():
        for key, values in options.items():
            for found in _REFERENCE.finditer("\n".join(values)):
                name = found["plain"] or found["braced"]
                if name and not is_there(group, name):
                    yield (
                        f"[{group}] {key}: ${name[0]}... must be the name of an option; a dollar "
                        "sign that is one is written $$"
                    )
                    break

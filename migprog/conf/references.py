# SPDX-License-Identifier: Apache-2.0
"""Find values that refer to options which do not exist: mostly passwords with a dollar sign.

oslo.config substitutes ``$NAME`` by the value of that option when a value is read, and its error
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
    """Name the options in ``sections`` whose values refer to no option, each with the rule.

    Only the first character of the reference is shown, as it may be part of a password.
    ``exists`` returns whether there is an option of a group and a name.
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
                        f"[{group}] {key}: ${name[0]}... must be the name of an option; write $$ "
                        "for a literal dollar sign"
                    )
                    break

# SPDX-License-Identifier: Apache-2.0
"""What a request may see and do. Each resource names the rule of each of its methods, and none is
asked before that rule has been; a rule is asked of the user's own project, and things of other
projects are not found, unless a further rule says otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import falcon

from migprog import policies
from migprog.api.error_codes import ErrorCode
from migprog.api.errors import ApiError

Rules = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """``may`` tells of a rule; ``project``: the user's, None when there is none."""

    may: Callable[[str], bool]
    project: str | None

    def check(self, rule: str) -> None:
        """Raises :class:`ApiError`."""
        if not self.may(rule):
            raise ApiError(ErrorCode.POLICY_DENIED, f"Policy doesn't allow {rule} to be performed.")

    def only_project(self, all_projects: str = policies.base.ALL_PROJECTS) -> str | None:
        """The project whose things alone are found; None: those of all, by the rule
        ``all_projects``.

        Raises :class:`ApiError` where there is no project to be confined to.
        """
        if self.may(all_projects):
            return None
        if not self.project:
            self.check(all_projects)
        return self.project


# Without Keystone: whoever can ask may do everything.
UNLIMITED = Access(may=lambda _rule: True, project=None)
# Without a token, where none is needed.
NOTHING = Access(may=lambda _rule: False, project=None)


class Ruled(Protocol):
    """A resource, with the rules of its methods: it must have them, or be :data:`PUBLIC`."""

    RULES: Rules


PUBLIC: Rules = {}


def rule_of(resource: Ruled, method: str) -> str | None:
    """The rule of a method of a resource; None: it is for everybody.

    A method that does not exist is refused to those only who may ask for another one. Raises
    :class:`LookupError` for a method that was given no rule: nobody may ask for it.
    """
    rules = resource.RULES
    method = "GET" if method == "HEAD" else method
    if not rules or method in rules:
        return rules.get(method)
    if hasattr(resource, f"on_{method.lower()}"):
        raise LookupError(f"{type(resource).__name__} has no rule for {method}")
    return next(iter(rules.values()))


class Enforcement:
    """Falcon middleware behind the one that sets ``req.context.access``: asks the rule of the
    resource that a request is for."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        rule = rule_of(resource, req.method)
        if rule is not None:
            req.context.access.check(rule)

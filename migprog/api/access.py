# SPDX-License-Identifier: Apache-2.0
"""What a request may see and do. Each resource names a policy rule for each of its methods, which
is checked before the method runs. Rules apply to the user's own project, and resources of other
projects are not found, unless a further rule allows it."""

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
    """``may`` returns whether a rule allows the user; ``project``: the user's, or None."""

    may: Callable[[str], bool]
    project: str | None

    def check(self, rule: str) -> None:
        """Raise :class:`ApiError` if the rule does not allow the user."""
        if not self.may(rule):
            raise ApiError(ErrorCode.POLICY_DENIED, f"Policy doesn't allow {rule} to be performed.")

    def only_project(self, all_projects: str = policies.base.ALL_PROJECTS) -> str | None:
        """Return the project to confine a query to; None for all, allowed by ``all_projects``.

        Raises :class:`ApiError` if the user has no project to be confined to.
        """
        if self.may(all_projects):
            return None
        if not self.project:
            self.check(all_projects)
        return self.project


# Without Keystone every client may do everything.
UNLIMITED = Access(may=lambda _rule: True, project=None)
# For public resources, which need no token.
NOTHING = Access(may=lambda _rule: False, project=None)


class Ruled(Protocol):
    """A resource with the rules of all its methods, or :data:`PUBLIC`."""

    RULES: Rules


PUBLIC: Rules = {}


def rule_of(resource: Ruled, method: str) -> str | None:
    """Return the rule of a method of a resource, None if it is public.

    For a method that does not exist, return another method's rule, so that only users who may use
    that get 405. Raises :class:`LookupError` for an existing method without a rule: it is denied.
    """
    rules = resource.RULES
    method = "GET" if method == "HEAD" else method
    if not rules or method in rules:
        return rules.get(method)
    if hasattr(resource, f"on_{method.lower()}"):
        raise LookupError(f"{type(resource).__name__} has no rule for {method}")
    return next(iter(rules.values()))


class Enforcement:
    """Falcon middleware, after the one that sets ``req.context.access``: checks the rule of the
    requested method."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        rule = rule_of(resource, req.method)
        if rule is not None:
            req.context.access.check(rule)

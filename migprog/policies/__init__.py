# SPDX-License-Identifier: Apache-2.0
"""Authorization: the policy rules with their defaults, and their enforcement.

Operators override rules in a policy file, see ``[oslo_policy]``.
"""

import importlib.metadata
import re
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from oslo_config import cfg
from oslo_policy import opts, policy

from migprog import exception
from migprog.context import RequestContext
from migprog.policies import agents, base, hosts, migrations, nova, servers

_DEFAULT_FILE = "policy.yaml"
# A decision is one rule for one user with certain roles.
_MOST_DECISIONS = 10_000

_Decisions: TypeAlias = dict[Any, bool]


def list_rules() -> list[policy.RuleDefault]:
    """Return all rules; oslopolicy-sample-generator's entry point."""
    return [
        *(*base.RULES, *migrations.RULES, *servers.RULES, *agents.RULES),
        *hosts.RULES,
        *nova.RULES,
    ]


class Policy:
    """The rules in force. A changed policy file is read again.

    Raises :class:`exception.ConfigError` if a policy file cannot be read.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._lock = threading.Lock()
        opts.set_defaults(conf, policy_file=_DEFAULT_FILE)
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(list_rules())
        path = conf.oslo_policy.policy_file
        if path != _DEFAULT_FILE and conf.find_file(path) is None:
            raise exception.ConfigError(f"[oslo_policy] policy_file: there is no file {path!r}")
        try:
            self._enforcer.load_rules()
            self._enforcer.check_rules(raise_on_violation=True)
        except Exception as error:
            # oslo.policy raises various errors: for invalid YAML, for a rule that refers to
            # itself, for a file that may not be read.
            raise exception.ConfigError(f"[oslo_policy] policy_file: {error}") from error

        self._rules: object = None
        self._decisions: _Decisions | None = None

    def of(self, user: RequestContext) -> Callable[[str], bool]:
        """Return a function that returns whether a rule allows the user to act in their project.

        Actions without a rule are denied. A check by oslo.policy takes 0.1 ms, mostly for looking
        at the arguments of its own functions, so its results are cached until a policy file
        changes.
        """
        if not (user.project_id or user.system_scope):
            # None must not match the project of resources that have none.
            return lambda _rule: False
        values = user.to_policy_values()
        who = tuple((name, _hashable(values[name])) for name in values)
        decisions = self._in_force()

        def may(rule: str) -> bool:
            if decisions is None:
                return self._ask(rule, user)
            known = decisions.get((rule, who))
            if known is None:
                if len(decisions) >= _MOST_DECISIONS:
                    decisions.clear()
                known = decisions[rule, who] = self._ask(rule, user)
            return known

        return may

    def _in_force(self) -> _Decisions | None:
        """Return the decisions cached for the current rules; None if they must not be cached."""
        with self._lock:
            self._enforcer.load_rules()
            if self._rules is not self._enforcer.rules:
                self._rules = self._enforcer.rules
                lasting = _depend_on_the_user_alone(self._enforcer.rules.values())
                self._decisions = {} if lasting else None
            return self._decisions

    def _ask(self, rule: str, user: RequestContext) -> bool:
        if rule not in self._enforcer.registered_rules:
            return False
        # No user_id: rules that compare the resource's user deny.
        target = {"project_id": user.project_id}
        # While another thread reads a changed file, the rules are incomplete.
        with self._lock:
            return bool(self._enforcer.enforce(rule, target, user.to_policy_values()))


def _hashable(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value


def _depend_on_the_user_alone(checks: Any) -> bool:
    """Return whether decisions depend on the user only, not on services as with ``http:`` or on
    other plug-ins."""
    plugged_in = importlib.metadata.entry_points(group="oslo.policy.rule_checks").names
    kinds = {kind for check in checks for kind in re.findall(r"(\w+):", str(check))}
    return not kinds & plugged_in

# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the rules with their defaults, and how they are asked.

An operator's policy file changes them, see ``[oslo_policy]``.
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
# Users with their roles, times the rules that they are asked for.
_MOST_DECISIONS = 10_000

_Decisions: TypeAlias = dict[Any, bool]


def list_rules() -> list[policy.RuleDefault]:
    """Every rule there is; what oslopolicy-sample-generator reads."""
    return [
        *(*base.RULES, *migrations.RULES, *servers.RULES, *agents.RULES),
        *hosts.RULES,
        *nova.RULES,
    ]


class Policy:
    """The rules as they are in force; a policy file that changes is read anew.

    Raises :class:`exception.ConfigError` when a policy file cannot be read.
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
            # What oslo.policy raises depends on what is wrong: text that is no YAML, a rule that
            # refers to itself, a file that nobody may read.
            raise exception.ConfigError(f"[oslo_policy] policy_file: {error}") from error

        self._rules: object = None
        self._decisions: _Decisions | None = None

    def of(self, user: RequestContext) -> Callable[[str], bool]:
        """What tells of a rule whether the user may do this in the own project; what has no rule,
        nobody may.

        oslo.policy takes 0.1 ms for it, the most to look at the arguments of its own functions. So
        what it said is remembered, until a policy file changes.
        """
        if not (user.project_id or user.system_scope):
            # Also, None must not be taken for the project of things without one.
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
        """What is known by the rules as they are now; None: they must be asked each time."""
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
        # No user_id: a rule that asks for the owner among users is answered no.
        target = {"project_id": user.project_id}
        # While a thread reads a changed file anew, the rules are not all there.
        with self._lock:
            return bool(self._enforcer.enforce(rule, target, user.to_policy_values()))


def _hashable(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value


def _depend_on_the_user_alone(checks: Any) -> bool:
    """Tell whether no rule asks somebody else, as ``http:`` does and whatever is plugged in."""
    plugged_in = importlib.metadata.entry_points(group="oslo.policy.rule_checks").names
    kinds = {kind for check in checks for kind in re.findall(r"(\w+):", str(check))}
    return not kinds & plugged_in

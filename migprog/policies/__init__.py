# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the rules with their defaults, and how they are asked.

An operator's policy file changes them, see ``[oslo_policy]``.
"""

import threading

from oslo_config import cfg
from oslo_policy import opts, policy

from migprog import exception
from migprog.context import RequestContext
from migprog.policies import agents, base, migrations, nova, servers

_DEFAULT_FILE = "policy.yaml"


def list_rules() -> list[policy.RuleDefault]:
    """Every rule there is; what oslopolicy-sample-generator reads."""
    return [
        *(*base.RULES, *migrations.RULES, *servers.RULES, *agents.RULES),
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

    def allows(self, rule: str, user: RequestContext) -> bool:
        """Tell whether a user may do this in the own project; what has no rule, nobody may."""
        if not (user.project_id or user.system_scope):
            # Also, None must not be taken for the project of things without one.
            return False
        if rule not in self._enforcer.registered_rules:
            return False
        # No user_id: a rule that asks for the owner among users is answered no.
        target = {"project_id": user.project_id}
        # While a thread reads a changed file anew, the rules are not all there.
        with self._lock:
            return bool(self._enforcer.enforce(rule, target, user.to_policy_values()))

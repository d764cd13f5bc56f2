# SPDX-License-Identifier: Apache-2.0
"""Roles, and the rule that both APIs share."""

from oslo_policy import policy

SYSTEM_READER = "(role:reader and system_scope:all)"
# Defined below under Nova's names.
ADMIN = "rule:context_is_admin"
MANAGER = "rule:project_manager_or_admin"

OVERSEER = f"{ADMIN} or {SYSTEM_READER}"
READER = f"rule:project_reader_or_admin or {SYSTEM_READER}"
MANAGER_READING = f"{MANAGER} or {SYSTEM_READER}"

# Tokens with a domain scope are not accepted, whatever their roles.
PROJECT = ["project"]
PROJECT_OR_SYSTEM = ["project", "system"]

ALL_PROJECTS = "migprog:all_projects"


def rule(
    name: str, who: str, description: str, *operations: str, scopes: list[str] | None = None
) -> policy.DocumentedRuleDefault:
    """Return a rule. ``operations``: each ``METHOD /path``; ``scopes``: default project, system."""
    return policy.DocumentedRuleDefault(
        name=name,
        check_str=who,
        description=description,
        operations=[
            {"method": method, "path": path}
            for method, _blank, path in (operation.partition(" ") for operation in operations)
        ],
        scope_types=scopes or PROJECT_OR_SYSTEM,
    )


# The user's project is the resource's.
_OWN = "project_id:%(project_id)s"
_SERVER = "/servers/{server_uuid}"
_NOVA_SERVER = "/v2.1/servers/{server_id}"

# Building blocks for rules, under Nova's names so that policies written for Nova can use or change
# them. In Keystone an admin implies manager, member and reader.
_NAMED = (
    ("context_is_admin", "role:admin", "An admin."),
    ("project_manager_api", f"role:manager and {_OWN}", "A manager of the project."),
    ("project_member_api", f"role:member and {_OWN}", "A member of the project."),
    ("project_reader_api", f"role:reader and {_OWN}", "A reader of the project."),
    *(
        (
            f"project_{role}_or_admin",
            f"rule:project_{role}_api or {ADMIN}",
            f"A {role} of the project, or an admin.",
        )
        for role in ("manager", "member", "reader")
    ),
)

RULES = (
    *(policy.RuleDefault(*named) for named in _NAMED),
    rule(
        ALL_PROJECTS,
        OVERSEER,
        "See servers and migrations of all projects. For others those of other projects do not "
        "exist. Nova's lists have rules of their own for this.",
        "GET /migrations",
        f"GET {_SERVER}",
        f"GET {_SERVER}/forecast",
        f"POST {_SERVER}/forecast",
        f"GET {_SERVER}/migrations",
        f"GET {_SERVER}/migrations/{{id}}",
        f"GET {_SERVER}/migrations/{{id}}/history",
        f"GET {_SERVER}/migrations/{{id}}/summary",
        f"DELETE {_SERVER}/migrations/{{id}}",
        f"POST {_SERVER}/migrations/{{id}}/action",
        f"GET {_NOVA_SERVER}",
        f"GET {_NOVA_SERVER}/migrations",
        f"GET {_NOVA_SERVER}/migrations/{{id}}",
        f"DELETE {_NOVA_SERVER}/migrations/{{id}}",
        f"POST {_NOVA_SERVER}/migrations/{{id}}/action",
    ),
)

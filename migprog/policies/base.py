# SPDX-License-Identifier: Apache-2.0
"""Who is who, and the rule that both faces share."""

from oslo_policy import policy

SYSTEM_READER = "(role:reader and system_scope:all)"
# By Nova's names, below.
ADMIN = "rule:context_is_admin"
MANAGER = "rule:project_manager_or_admin"

OVERSEER = f"{ADMIN} or {SYSTEM_READER}"
READER = f"rule:project_reader_or_admin or {SYSTEM_READER}"
MANAGER_READING = f"{MANAGER} or {SYSTEM_READER}"

# A token of a domain is for none of this, whatever its roles.
PROJECT = ["project"]
PROJECT_OR_SYSTEM = ["project", "system"]

ALL_PROJECTS = "migprog:all_projects"


def rule(
    name: str, who: str, description: str, *operations: str, scopes: list[str] | None = None
) -> policy.DocumentedRuleDefault:
    """A rule; an operation is ``METHOD /path``. Without ``scopes``: of a project or the system."""
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


# Who asks is in the project that is asked about.
_OWN = "project_id:%(project_id)s"
_SERVER = "/servers/{server_uuid}"
_NOVA_SERVER = "/v2.1/servers/{server_id}"

# Rules to make rules of. What is written for Nova may use them, or change them. Keystone sees to it
# that an admin is a manager, a member and a reader, too.
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
        "Find the servers and migrations of all projects. For others those of other projects do "
        "not exist. Nova's lists have rules of their own for this.",
        "GET /migrations",
        f"GET {_SERVER}",
        f"GET {_SERVER}/migrations",
        f"GET {_SERVER}/migrations/{{id}}",
        f"GET {_SERVER}/migrations/{{id}}/history",
        f"DELETE {_SERVER}/migrations/{{id}}",
        f"POST {_SERVER}/migrations/{{id}}/action",
        f"GET {_NOVA_SERVER}",
        f"GET {_NOVA_SERVER}/migrations",
        f"GET {_NOVA_SERVER}/migrations/{{id}}",
        f"DELETE {_NOVA_SERVER}/migrations/{{id}}",
        f"POST {_NOVA_SERVER}/migrations/{{id}}/action",
    ),
)

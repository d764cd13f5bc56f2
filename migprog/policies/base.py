# SPDX-License-Identifier: Apache-2.0
"""Who is who, and the rule that both faces share."""

from oslo_policy import policy

ADMIN = "role:admin"
# Keystone implies: who is admin is manager, member and reader too.
PROJECT_READER = "(role:reader and project_id:%(project_id)s)"
PROJECT_MANAGER = "(role:manager and project_id:%(project_id)s)"
SYSTEM_READER = "(role:reader and system_scope:all)"

OVERSEER = f"{ADMIN} or {SYSTEM_READER}"
READER = f"{PROJECT_READER} or {OVERSEER}"
MANAGER = f"{PROJECT_MANAGER} or {ADMIN}"
MANAGER_READING = f"{PROJECT_MANAGER} or {OVERSEER}"

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


_SERVER = "/servers/{server_uuid}"
_NOVA_SERVER = "/v2.1/servers/{server_id}"

RULES = (
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
        f"GET {_NOVA_SERVER}",
        f"GET {_NOVA_SERVER}/migrations",
        f"GET {_NOVA_SERVER}/migrations/{{id}}",
        f"DELETE {_NOVA_SERVER}/migrations/{{id}}",
        f"POST {_NOVA_SERVER}/migrations/{{id}}/action",
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Rules for the Nova-compatible API, under Nova's names: Nova's policy files apply to it.

The defaults are Nova's, except that system readers may read what an admin may.
"""

from migprog.policies.base import (
    MANAGER,
    MANAGER_READING,
    OVERSEER,
    PROJECT,
    READER,
    rule,
)

_ROOT = "os_compute_api:"
SERVERS_INDEX = f"{_ROOT}servers:index"
SERVERS_INDEX_ALL = f"{_ROOT}servers:index:get_all_tenants"
SERVERS_DETAIL = f"{_ROOT}servers:detail"
SERVERS_DETAIL_ALL = f"{_ROOT}servers:detail:get_all_tenants"
SERVERS_SHOW = f"{_ROOT}servers:show"
SERVERS_HOST = f"{_ROOT}os-extended-server-attributes"
MIGRATIONS_INDEX = f"{_ROOT}servers:migrations:index"
MIGRATIONS_HOST = f"{_ROOT}servers:migrations:index:host"
MIGRATIONS_SHOW = f"{_ROOT}servers:migrations:show"
MIGRATIONS_DELETE = f"{_ROOT}servers:migrations:delete"
MIGRATIONS_FORCE_COMPLETE = f"{_ROOT}servers:migrations:force_complete"
OS_MIGRATIONS_INDEX = f"{_ROOT}os-migrations:index"
OS_MIGRATIONS_ALL = f"{_ROOT}os-migrations:index:all_projects"
OS_MIGRATIONS_HOST = f"{_ROOT}os-migrations:index:host"

_SERVERS = "GET /v2.1/servers"
_DETAIL = f"{_SERVERS}/detail"
_SERVER = f"{_SERVERS}/{{server_id}}"
_OF_SERVER = "/v2.1/servers/{server_id}/migrations"
_OS_MIGRATIONS = "GET /v2.1/os-migrations"

RULES = (
    rule(SERVERS_INDEX, READER, "List servers.", _SERVERS),
    rule(SERVERS_INDEX_ALL, OVERSEER, "List servers of all projects.", _SERVERS),
    rule(SERVERS_DETAIL, READER, "List servers with details.", _DETAIL),
    rule(SERVERS_DETAIL_ALL, OVERSEER, "List servers of all projects with details.", _DETAIL),
    rule(SERVERS_SHOW, READER, "Show a server.", _SERVER),
    rule(
        SERVERS_HOST,
        OVERSEER,
        "See on which host a server is. For others it is null.",
        _SERVER,
        _DETAIL,
    ),
    rule(
        MIGRATIONS_INDEX,
        MANAGER_READING,
        "List a server's migrations in progress.",
        f"GET {_OF_SERVER}",
    ),
    rule(
        MIGRATIONS_HOST,
        OVERSEER,
        "See the hosts of a server's migrations. For others they are null.",
        f"GET {_OF_SERVER}",
        f"GET {_OF_SERVER}/{{id}}",
    ),
    rule(
        MIGRATIONS_SHOW,
        OVERSEER,
        "Show a migration in progress.",
        f"GET {_OF_SERVER}/{{id}}",
    ),
    rule(
        MIGRATIONS_DELETE,
        MANAGER,
        "Abort a migration.",
        f"DELETE {_OF_SERVER}/{{id}}",
        scopes=PROJECT,
    ),
    rule(
        MIGRATIONS_FORCE_COMPLETE,
        MANAGER,
        "Force a migration to complete.",
        f"POST {_OF_SERVER}/{{id}}/action",
        scopes=PROJECT,
    ),
    rule(OS_MIGRATIONS_INDEX, MANAGER_READING, "List migrations.", _OS_MIGRATIONS),
    rule(OS_MIGRATIONS_ALL, OVERSEER, "List migrations of all projects.", _OS_MIGRATIONS),
    rule(
        OS_MIGRATIONS_HOST,
        OVERSEER,
        "See the hosts of migrations, and list by host. For others they are null.",
        _OS_MIGRATIONS,
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Rules for migrations in the native API."""

from migprog.policies.base import MANAGER, OVERSEER, PROJECT, READER, rule

LIST = "migprog:migrations:list"
SHOW = "migprog:migrations:show"
SUMMARY = "migprog:migrations:summary"
HISTORY = "migprog:migrations:history"
OF_SERVER = "migprog:servers:migrations"
HOSTS = "migprog:migrations:hosts"
ABORT = "migprog:migrations:abort"
FORCE_COMPLETE = "migprog:migrations:force_complete"

_PATH = "/servers/{server_uuid}/migrations"
_OF_SERVER = f"GET {_PATH}"

RULES = (
    rule(LIST, READER, "List migrations.", "GET /migrations"),
    rule(OF_SERVER, READER, "List a server's migrations.", _OF_SERVER),
    rule(SHOW, READER, "Show a migration.", f"{_OF_SERVER}/{{id}}"),
    rule(
        SUMMARY,
        f"rule:{SHOW}",
        "Show what a migration's record and history say in hindsight.",
        f"{_OF_SERVER}/{{id}}/summary",
    ),
    rule(HISTORY, READER, "Show a migration's history.", f"{_OF_SERVER}/{{id}}/history"),
    rule(
        HOSTS,
        OVERSEER,
        "See the hosts of migrations, list by host, and see errors, which are libvirt's texts and "
        "may name hosts. For others these fields are null.",
        "GET /migrations",
        _OF_SERVER,
        f"{_OF_SERVER}/{{id}}",
    ),
    rule(ABORT, MANAGER, "Abort a migration.", f"DELETE {_PATH}/{{id}}", scopes=PROJECT),
    rule(
        FORCE_COMPLETE,
        MANAGER,
        "Force a migration to complete.",
        f"POST {_PATH}/{{id}}/action",
        scopes=PROJECT,
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""The errors of the native API: code, HTTP status and meaning.

1. A code never changes its meaning, and is never reused for another one.
2. A code has one status: another status needs another code. Only ``undefined`` may have any.
3. Failures that clients handle differently have different codes.

A new code needs a line in ``doc/source/api.rst``; a test compares both.
"""

import enum

from migprog import SERVICE_TYPE
from migprog.core.actions import Refusal
from migprog.core.measurement import Failure


class ErrorCode(enum.StrEnum):
    """The value is what clients see: ``migration-progress.migration-not-found``.

    ``status``: the HTTP status. ``meaning``: one sentence, the default detail of the error.
    """

    status: int
    meaning: str

    def __new__(cls, word: str, status: int, meaning: str) -> "ErrorCode":
        code = str.__new__(cls, f"{SERVICE_TYPE}.{word}")
        code._value_ = str(code)
        code.status = status
        code.meaning = meaning
        return code

    BAD_REQUEST = ("bad-request", 400, "The request is not valid HTTP.")
    INVALID_PARAMETER = (
        "invalid-parameter",
        400,
        "A parameter breaks a rule; see field and rule.",
    )
    INCOMPATIBLE_PARAMETERS = (
        "incompatible-parameters",
        400,
        "Two parameters cannot be combined; see field and rule.",
    )
    INVALID_BODY = ("invalid-body", 400, "The body breaks a rule; see rule.")
    UNEXPECTED_BODY = ("unexpected-body", 400, "A GET, HEAD or OPTIONS request has a body.")
    MICROVERSION_MALFORMED = (
        "microversion-malformed",
        400,
        "The microversion in OpenStack-API-Version cannot be read.",
    )
    UNAUTHORIZED = ("unauthorized", 401, "A valid token is needed in X-Auth-Token.")
    LOGIN_REFUSED = (
        "login-refused",
        401,
        "Keystone refuses the user, password, domain or project.",
    )
    POLICY_DENIED = ("policy-denied", 403, "The policy does not allow the request.")
    LOCAL_ONLY = (
        "local-only",
        403,
        "Without Keystone, requests are accepted from this machine only.",
    )
    ACTIONS_DISABLED = ("actions-disabled", 403, "Actions are disabled on this API.")
    AGENT_ACTIONS_DISABLED = (
        "agent-actions-disabled",
        403,
        "Actions are disabled on the source host.",
    )
    MEASURING_DISABLED = ("measuring-disabled", 403, "Measuring is disabled on this API.")
    AGENT_MEASURING_DISABLED = (
        "agent-measuring-disabled",
        403,
        "Measuring is disabled on the server's host.",
    )
    NO_SUCH_ADDRESS = ("no-such-address", 404, "Nothing is at this address.")
    SERVER_NOT_FOUND = (
        "server-not-found",
        404,
        "No migration of this server is recorded, or it is another project's.",
    )
    MIGRATION_NOT_FOUND = (
        "migration-not-found",
        404,
        "The server has no such migration, or it is another project's.",
    )
    NOT_MEASURED = (
        "not-measured",
        404,
        "No measurement of the server is known; have it measured first.",
    )
    HOST_NOT_FOUND = ("host-not-found", 404, "No agent of this host is known.")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "Method not allowed; see the Allow header.")
    MICROVERSION_UNSUPPORTED = (
        "microversion-unsupported",
        406,
        "The microversion is not supported; see min_version and max_version.",
    )
    MIGRATION_ENDED = ("migration-ended", 409, "The migration has ended.")
    SERVER_AT_DESTINATION = (
        "server-at-destination",
        409,
        "The server runs at its destination already.",
    )
    NO_MEMORY_COPIED = (
        "no-memory-copied-yet",
        409,
        "A migration cannot be forced to complete before its memory is being copied.",
    )
    SWITCHOVER_IN_PROGRESS = ("switchover-in-progress", 409, "The server switches over already.")
    SERVER_ALREADY_PAUSED = (
        "server-already-paused",
        409,
        "The server is paused already, so the migration needs no force.",
    )
    MIGRATION_NOT_ON_HOST = (
        "migration-not-on-host",
        409,
        "The agent of the source host does not see this migration; it may just have ended.",
    )
    AGENT_STARTING = (
        "agent-starting",
        409,
        "The agent has just started and does not know the migration's state yet; try again.",
    )
    ACTION_IN_PROGRESS = (
        "action-in-progress",
        409,
        "Another action on the server's migration is in progress.",
    )
    LIBVIRT_FAILED = (
        "libvirt-failed",
        409,
        "libvirt failed to carry out the action; the agent's log has the error.",
    )
    ACTION_REFUSED = ("action-refused", 409, "The agent refuses the action; see detail.")
    SERVER_NOT_ON_HOST = ("server-not-on-host", 409, "The server does not run on the host.")
    SERVER_NOT_RUNNING = ("server-not-running", 409, "Only a running server can be measured.")
    SERVER_MIGRATES = ("server-migrates", 409, "A server that migrates is not measured.")
    SERVER_HAS_JOB = (
        "server-has-job",
        409,
        "Another job of the server runs in libvirt, as a snapshot; try again.",
    )
    MIGRATION_BEGAN = (
        "migration-began",
        409,
        "A migration of the server began, so measuring it was given up.",
    )
    TOO_MANY_MEASUREMENTS = (
        "too-many-measurements",
        409,
        "Too many servers of the host wait to be measured; try again later.",
    )
    LIBVIRT_HANGS = (
        "libvirt-hangs",
        409,
        "The host's libvirt does not answer an earlier measurement.",
    )
    MEASURING_FAILED = (
        "measuring-failed",
        409,
        "libvirt failed to measure the server; the agent's log has the error.",
    )
    MEASURING_TIMED_OUT = ("measuring-timed-out", 409, "The server was not measured in time.")
    TOO_MANY_SERVERS = (
        "too-many-servers",
        409,
        "The host has more servers than a plan can have.",
    )
    LENGTH_REQUIRED = ("length-required", 411, "The request needs a Content-Length header.")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is larger than the limit.")
    URI_TOO_LONG = ("uri-too-long", 414, "The URL is longer than the limit.")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body is not JSON.")
    TOO_MANY_LOGINS = (
        "too-many-logins",
        429,
        "Too many logins by password; try again in a minute.",
    )
    HEADERS_TOO_LARGE = ("headers-too-large", 431, "The headers are larger than the limit.")
    INTERNAL_ERROR = (
        "internal-error",
        500,
        "An unexpected error occurred; the API's log has it under the request id.",
    )
    NOT_IMPLEMENTED = ("not-implemented", 501, "The transfer encoding is not supported.")
    DATABASE_UNAVAILABLE = (
        "database-unavailable",
        503,
        "The database is not available; try again later.",
    )
    KEYSTONE_UNAVAILABLE = (
        "keystone-unavailable",
        503,
        "Keystone is not available to check the token; try again later.",
    )
    AGENT_SILENT = (
        "agent-silent",
        503,
        "The host's agent sends no heartbeats, or its loop hangs; nothing was requested of it.",
    )
    AGENT_TIMEOUT = (
        "agent-timeout",
        503,
        "Timed out waiting for the agent; what was requested may still be done.",
    )
    TOO_MANY_LONG_POLLS = (
        "too-many-long-polls",
        503,
        "All long polls are in use; repeat the request without wait, or later.",
    )
    TOO_MANY_WATCHERS = (
        "too-many-watchers",
        503,
        "No watcher of lists is free, or the user has its share of them; poll the list.",
    )
    TOO_MANY_MIGRATIONS = (
        "too-many-migrations",
        503,
        "Too many migrations are in progress for news of lists; poll the list.",
    )
    OUT_OF_SERVICE = ("out-of-service", 503, "A health check has failed; see detail.")
    UNDEFINED = ("undefined", 500, "An error without a code of its own; its status says more.")


# Codes of refused actions, by the reason.
_BY_VALUE = {code.value: code for code in ErrorCode}
BY_REFUSAL: dict[str, ErrorCode] = {
    refusal.value: _BY_VALUE[f"{SERVICE_TYPE}.{refusal}"] for refusal in Refusal
}
BY_FAILURE: dict[str, ErrorCode] = {
    failure.value: _BY_VALUE[f"{SERVICE_TYPE}.{failure}"] for failure in Failure
}
# Codes of failures that are known by their status only.
BY_STATUS: dict[int, ErrorCode] = {
    400: ErrorCode.BAD_REQUEST,
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.POLICY_DENIED,
    404: ErrorCode.NO_SUCH_ADDRESS,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    411: ErrorCode.LENGTH_REQUIRED,
    413: ErrorCode.BODY_TOO_LARGE,
    414: ErrorCode.URI_TOO_LONG,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    431: ErrorCode.HEADERS_TOO_LARGE,
    500: ErrorCode.INTERNAL_ERROR,
    501: ErrorCode.NOT_IMPLEMENTED,
    503: ErrorCode.KEYSTONE_UNAVAILABLE,
}

# SPDX-License-Identifier: Apache-2.0
"""Nova's API: its records of migrations."""

import contextlib
import json
import logging
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib import parse

import requests
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from oslo_config import cfg

from migprog import exception, http_calls
from migprog.conf import nova as nova_conf
from migprog.core.fields import MAX_TEXT, text
from migprog.core.nova_match import LISTED, LIVE_MIGRATION, NovaMigration
from migprog.objects import MAX_ID

LOG = logging.getLogger(__name__)

# 2.80 has a migration's user and project. Where Nova lacks it: 2.59 has UUIDs and limits.
MICROVERSION = "2.80"
OLDEST_MICROVERSION = "2.59"
# Newest first, of one server. One that Nova never ended should be among them.
_MOST_RECORDS = 100
# Of all servers: records a page, and pages.
_PAGE, _MOST_PAGES = 200, 5
# A call (login and request) ends within this multiple of the timeout.
_DEADLINE_TIMEOUTS = 3
# One is in progress at a time; the others are calls that hang.
_MOST_CALLS = 4
_ALLOW = (
    "allow [nova] username's role os_compute_api:os-migrations:index, :index:all_projects and "
    ":index:host in Nova's policy"
)
_WHAT_TO_DO = {
    401: "; check user, password, project and domains in [nova]",
    403: f"; {_ALLOW}",
    404: "; check [nova] auth_url and endpoint_override, and Nova's endpoint in the catalog",
    406: f"; Nova must know microversion {OLDEST_MICROVERSION}",
}


class NoAnswer(exception.MigprogError):
    """Nova did not answer, refused, or sent a malformed answer."""


class Nova:
    """A client of Nova's API as ``[nova]`` configures it.

    Raises :class:`exception.ConfigError` where the options are invalid.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = nova_conf.GROUP.name
        try:
            auth = loading.load_auth_from_conf_options(conf, group)
            session = loading.load_session_from_conf_options(
                conf, group, auth=auth, session=http_calls.mount(requests.Session())
            )
            self._adapter = loading.load_adapter_from_conf_options(conf, group, session=session)
            self._microversion = MICROVERSION
            self._calls = http_calls.Calls(
                "Nova or its Keystone", _DEADLINE_TIMEOUTS * float(conf[group].timeout), _MOST_CALLS
            )
        except (keystone_exceptions.ClientException, cfg.Error, TypeError, ValueError) as error:
            raise exception.ConfigError(f"[{group}] {error}") from error

    def migrations(self, server_uuid: str) -> list[NovaMigration]:
        """Return the newest live migrations of a server, ended ones too.

        Raises :class:`NoAnswer`.
        """
        return _with_hosts(self._page({"instance_uuid": server_uuid, "limit": _MOST_RECORDS}))

    def changed_since(self, at: datetime) -> tuple[list[NovaMigration], bool]:
        """Return the newest live migrations that changed at an instant (with its zone) or later,
        and whether these are all. Raises :class:`NoAnswer`."""
        since = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        return self._pages({"changes-since": since})

    def listed(self) -> tuple[list[NovaMigration], bool]:
        """Return what Nova lists as in progress, of all servers, and whether these are all.

        Raises :class:`NoAnswer`.
        """
        answers = [self._pages({"status": status}) for status in sorted(LISTED)]
        return [each for found, _all in answers for each in found], all(a for _, a in answers)

    def check(self) -> bool:
        """Request migrations of all servers; return whether Nova has shown one.

        Raises :class:`NoAnswer`, also where Nova does not show the hosts.
        """
        self.migrations(str(uuid.uuid4()))
        return bool(_with_hosts(self._page({"limit": 1})))

    def _pages(self, params: Mapping[str, str]) -> tuple[list[NovaMigration], bool]:
        found: list[NovaMigration] = []
        marker: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = self._page({**params, **marker, "limit": _PAGE})
            found += page
            if len(page) < _PAGE:
                return found, True
            marker = {"marker": page[-1].uuid}
        return found, False

    def _page(self, params: Mapping[str, str | int]) -> list[NovaMigration]:
        try:
            body = self._calls.run(lambda: self._get(params))
        except keystone_exceptions.NotAcceptable as error:
            if self._microversion == OLDEST_MICROVERSION:
                raise NoAnswer(_why(error)) from error
            LOG.info(
                "Nova lacks microversion %s; using %s: who requested a migration stays unknown",
                *(self._microversion, OLDEST_MICROVERSION),
            )
            self._microversion = OLDEST_MICROVERSION
            return self._page(params)
        except (
            keystone_exceptions.ClientException,
            requests.RequestException,
            OSError,
        ) as error:
            raise NoAnswer(_why(error)) from error
        return read(body)

    def _get(self, params: Mapping[str, str | int]) -> bytes:
        answer: bytes = self._adapter.get(
            "/os-migrations",
            params={**params, "migration_type": LIVE_MIGRATION},
            headers={"Accept": "application/json"},
            microversion=self._microversion,
            log=False,
        ).content
        return answer


def _with_hosts(found: list[NovaMigration]) -> list[NovaMigration]:
    """Return ``found``. Raises :class:`NoAnswer` where Nova does not show the hosts."""
    if found and not any(
        each.source_compute or each.source_node or each.dest_compute for each in found
    ):
        raise NoAnswer(f"lists migrations without their hosts: {_ALLOW}")
    return found


def _why(error: Exception) -> str:
    """Return the HTTP status, the server's message, and what to do about it.

    keystoneauth does not find the message where Nova puts it.
    """
    response = getattr(error, "response", None)
    if response is None:
        return f"{type(error).__name__}: {text(str(error))}"
    message = str(error)
    # {"forbidden": {"code": 403, "message": "Policy doesn't allow ..."}}
    with contextlib.suppress(AttributeError, TypeError, ValueError, LookupError, RecursionError):
        (its,) = response.json().values()
        message = str(its["message"])
    what_to_do = _WHAT_TO_DO.get(response.status_code, "")
    return f"HTTP {response.status_code} from {_where(response.url)}: {text(message)}{what_to_do}"


def _where(url: str) -> str:
    """Return a URL without its query, user and password."""
    split = parse.urlsplit(url)
    return text(f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}")


def read(body: bytes) -> list[NovaMigration]:
    """Parse the body of an answer to ``/os-migrations``. Raises :class:`NoAnswer`."""
    try:
        return [_record(each) for each in json.loads(body)["migrations"]]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise NoAnswer(f"malformed answer: {reason}") from error


def _record(fields: dict[str, Any]) -> NovaMigration:
    number = fields["id"]
    if type(number) is not int or not 0 < number <= MAX_ID:
        raise ValueError(f"id: {number!r} must be a number from 1 to {MAX_ID}")
    return NovaMigration(
        id=number,
        uuid=_uuid(fields, "uuid"),
        server_uuid=_uuid(fields, "instance_uuid"),
        created_at=_instant(fields["created_at"]),
        updated_at=None if fields["updated_at"] is None else _instant(fields["updated_at"]),
        migration_type=_text(fields, "migration_type"),
        status=_text(fields, "status"),
        # Absent before 2.80.
        user_id=_text({"user_id": None, **fields}, "user_id"),
        project_id=_text({"project_id": None, **fields}, "project_id"),
        source_compute=_text(fields, "source_compute"),
        source_node=_text(fields, "source_node"),
        dest_compute=_text(fields, "dest_compute"),
        dest_node=_text(fields, "dest_node"),
        dest_host=_text(fields, "dest_host"),
        old_instance_type_id=_number(fields, "old_instance_type_id"),
        new_instance_type_id=_number(fields, "new_instance_type_id"),
    )


def _uuid(fields: dict[str, Any], name: str) -> str:
    return str(uuid.UUID(_text(fields, name) or ""))


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields[name]
    if value is not None and (not isinstance(value, str) or len(value) > MAX_TEXT):
        raise ValueError(f"{name}: {value!r} must be text of at most {MAX_TEXT}, or null")
    return value


def _number(fields: dict[str, Any], name: str) -> int | None:
    value = fields[name]
    if value is not None and (type(value) is not int or abs(value) > MAX_ID):
        raise ValueError(f"{name}: {value!r} must be a number of at most {MAX_ID}, or null")
    return value


def _instant(text: str) -> datetime:
    """Parse ``2016-01-29T13:42:02.000000``, which is UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

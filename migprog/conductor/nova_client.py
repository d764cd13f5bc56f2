# SPDX-License-Identifier: Apache-2.0
"""Asking Nova for its records of migrations."""

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

# The first that says who asked for a migration; and, of a Nova that has not got that one, the first
# that has UUIDs, and limits.
MICROVERSION = "2.80"
OLDEST_MICROVERSION = "2.59"
# Newest first, of one server; one that Nova has forgotten to end should be among them.
_MOST_RECORDS = 100
# Of all servers: so many at a time, and so many times.
_PAGE, _MOST_PAGES = 200, 5
# All of a call is done within so many of the timeout: a login, and the question.
_DEADLINE = 3
# One is under way at a time; others are left over.
_MOST_CALLS = 4
_ALLOW = (
    "let [nova] username's role do os_compute_api:os-migrations:index, :index:all_projects and "
    ":index:host in Nova's policy"
)
_WHAT_TO_DO = {
    401: "; look at user, password, project and domains in [nova]",
    403: f"; {_ALLOW}",
    404: "; look at [nova] auth_url and endpoint_override, and at Nova's endpoint in the catalog",
    406: f"; Nova must know microversion {OLDEST_MICROVERSION}",
}


class NoAnswer(exception.MigprogError):
    """Nova did not answer, or nothing that can be read."""


class Nova:
    """Nova's API, as ``[nova]`` says. Raises :class:`exception.ConfigError` when that cannot be."""

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
                "Nova or its Keystone", _DEADLINE * float(conf[group].timeout), _MOST_CALLS
            )
        except (keystone_exceptions.ClientException, cfg.Error, TypeError, ValueError) as error:
            raise exception.ConfigError(f"[{group}] {error}") from error

    def migrations(self, server_uuid: str) -> list[NovaMigration]:
        """The newest live migrations of a server, ended ones too. Raises :class:`NoAnswer`."""
        return _with_hosts(self._page({"instance_uuid": server_uuid, "limit": _MOST_RECORDS}))

    def changed_since(self, at: datetime) -> tuple[list[NovaMigration], bool]:
        """The live migrations of all servers that changed at an instant (with its zone) or later,
        the newest, and whether these are all. Raises :class:`NoAnswer`."""
        since = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        return self._pages({"changes-since": since})

    def listed(self) -> tuple[list[NovaMigration], bool]:
        """What Nova lists as in progress, of all servers, and whether these are all. Raises
        :class:`NoAnswer`."""
        answers = [self._pages({"status": status}) for status in sorted(LISTED)]
        return [each for found, _all in answers for each in found], all(a for _, a in answers)

    def check(self) -> bool:
        """Ask as :meth:`migrations` does, of all servers; whether there was one to be seen.

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
                "Nova has no microversion %s: who asked it for a migration is not known",
                self._microversion,
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
    """What was found; raises :class:`NoAnswer` where Nova does not show the hosts."""
    if found and not any(
        each.source_compute or each.source_node or each.dest_compute for each in found
    ):
        raise NoAnswer(f"lists migrations without their hosts: {_ALLOW}")
    return found


def _why(error: Exception) -> str:
    """The status and the other side's own words, which keystoneauth does not look for where Nova
    has them, and what to do about them."""
    response = getattr(error, "response", None)
    if response is None:
        return f"{type(error).__name__}: {text(str(error))}"
    told = str(error)
    # {"forbidden": {"code": 403, "message": "Policy doesn't allow ..."}}
    with contextlib.suppress(AttributeError, TypeError, ValueError, LookupError, RecursionError):
        (its,) = response.json().values()
        told = str(its["message"])
    what_to_do = _WHAT_TO_DO.get(response.status_code, "")
    return f"HTTP {response.status_code} from {_where(response.url)}: {text(told)}{what_to_do}"


def _where(url: str) -> str:
    """Without what it asks for, and without a user and a password."""
    split = parse.urlsplit(url)
    return text(f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}")


def read(body: bytes) -> list[NovaMigration]:
    """The records of an answer to ``/os-migrations``. Raises :class:`NoAnswer`."""
    try:
        return [_record(each) for each in json.loads(body)["migrations"]]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise NoAnswer(f"its answer cannot be read: {reason}") from error


def _record(told: dict[str, Any]) -> NovaMigration:
    number = told["id"]
    if type(number) is not int or not 0 < number <= MAX_ID:
        raise ValueError(f"id: {number!r} must be a number from 1 to {MAX_ID}")
    return NovaMigration(
        id=number,
        uuid=_uuid(told, "uuid"),
        server_uuid=_uuid(told, "instance_uuid"),
        created_at=_instant(told["created_at"]),
        updated_at=None if told["updated_at"] is None else _instant(told["updated_at"]),
        migration_type=_text(told, "migration_type"),
        status=_text(told, "status"),
        # Not before 2.80.
        user_id=_text({"user_id": None, **told}, "user_id"),
        project_id=_text({"project_id": None, **told}, "project_id"),
        source_compute=_text(told, "source_compute"),
        source_node=_text(told, "source_node"),
        dest_compute=_text(told, "dest_compute"),
        dest_node=_text(told, "dest_node"),
        dest_host=_text(told, "dest_host"),
        old_instance_type_id=_number(told, "old_instance_type_id"),
        new_instance_type_id=_number(told, "new_instance_type_id"),
    )


def _uuid(told: dict[str, Any], name: str) -> str:
    return str(uuid.UUID(_text(told, name) or ""))


def _text(told: dict[str, Any], name: str) -> str | None:
    value = told[name]
    if value is not None and (not isinstance(value, str) or len(value) > MAX_TEXT):
        raise ValueError(f"{name}: {value!r} must be text of at most {MAX_TEXT}, or null")
    return value


def _number(told: dict[str, Any], name: str) -> int | None:
    value = told[name]
    if value is not None and (type(value) is not int or abs(value) > MAX_ID):
        raise ValueError(f"{name}: {value!r} must be a number of at most {MAX_ID}, or null")
    return value


def _instant(told: str) -> datetime:
    """``2016-01-29T13:42:02.000000``, in UTC."""
    return datetime.fromisoformat(told).replace(tzinfo=UTC)

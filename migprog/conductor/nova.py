# SPDX-License-Identifier: Apache-2.0
"""Asking Nova for its records of a server's migrations."""

import contextlib
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from oslo_config import cfg
from requests import exceptions as requests_exceptions

from migprog import exception, httpc
from migprog.conf import nova as nova_conf
from migprog.core.nova import LIVE_MIGRATION, NovaMigration
from migprog.objects import MAX_ID

# The first that has UUIDs; and limits.
MICROVERSION = "2.59"
# Newest first: of those that a server had before, one needs none.
_MOST_RECORDS = 20
_MAX_ANSWER_BYTES = 256 * 1024
_CHUNK_BYTES = 16 * 1024


class NoAnswer(exception.MigprogError):
    """Nova did not answer, or nothing that can be read."""


class Nova:
    """Nova's API, as ``[nova]`` says. Raises :class:`exception.ConfigError` when that cannot be."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = nova_conf.GROUP.name
        try:
            auth = loading.load_auth_from_conf_options(conf, group)
            session = loading.load_session_from_conf_options(conf, group, auth=auth)
            self._adapter = loading.load_adapter_from_conf_options(conf, group, session=session)
            self._deadline_seconds = 3 * float(conf[group].timeout)
            httpc.bound(session, self._deadline_seconds)
        except (keystone_exceptions.ClientException, cfg.Error, TypeError, ValueError) as error:
            raise exception.ConfigError(f"[{group}] {error}") from error

    def migrations(self, server_uuid: str) -> list[NovaMigration]:
        """The newest live migrations of a server, ended ones too. Raises :class:`NoAnswer`."""
        begun = time.monotonic()
        try:
            answer = self._adapter.get(
                "/os-migrations",
                params={
                    "instance_uuid": server_uuid,
                    "migration_type": LIVE_MIGRATION,
                    "limit": _MOST_RECORDS,
                },
                headers={"Accept": "application/json"},
                microversion=MICROVERSION,
                # What is not bounded is not read.
                stream=True,
                log=False,
            )
            body = b""
            for chunk in answer.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    answer.close()
                    raise NoAnswer(f"its answer has more than {_MAX_ANSWER_BYTES} bytes")
                if time.monotonic() - begun > self._deadline_seconds:
                    answer.close()
                    raise NoAnswer(f"its answer took more than {self._deadline_seconds} s")
        except (
            keystone_exceptions.ClientException,
            requests_exceptions.RequestException,
            OSError,
        ) as error:
            raise NoAnswer(_why(error)) from error
        return read(body)


def _why(error: Exception) -> str:
    """Nova's own words for a refusal, which keystoneauth does not look for where Nova has them."""
    response = getattr(error, "response", None)
    text = str(error)
    if response is not None:
        # {"forbidden": {"code": 403, "message": "Policy doesn't allow ..."}}
        with contextlib.suppress(AttributeError, TypeError, ValueError, RecursionError):
            (told,) = response.json().values()
            text = str(told["message"])
        return f"HTTP {response.status_code}: {text}"[:300]
    return f"{type(error).__name__}: {text}"[:300]


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
        uuid=str(uuid.UUID(_text(told, "uuid") or "")),
        created_at=_instant(told["created_at"]),
        updated_at=None if told["updated_at"] is None else _instant(told["updated_at"]),
        **{name: _text(told, name) for name in ("migration_type", "status", "dest_compute")},
        **{name: _text(told, name) for name in ("source_compute", "source_node")},
    )


def _text(told: dict[str, Any], name: str) -> str | None:
    value = told[name]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}: {value!r} must be text, or null")
    return value


def _instant(text: str) -> datetime:
    """``2016-01-29T13:42:02.000000``, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

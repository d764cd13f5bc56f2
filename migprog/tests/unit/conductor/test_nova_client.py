# SPDX-License-Identifier: Apache-2.0
"""Nova asked by real keystoneauth, over HTTP, of a stand-in that answers well or ill."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from oslo_config import cfg

from migprog import exception
from migprog.conductor.nova_client import NoAnswer, Nova, read
from migprog.conf import nova as nova_conf
from migprog.core.nova_match import NovaMigration
from migprog.tests.fixtures.nova import NovaApi, record

SERVER, ITS = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
AT = datetime(2026, 9, 1, 12, 0, 0, 250000, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[NovaApi]:
    api = NovaApi()
    with api.serving():
        yield api


def configuration(text: str, tmp_path: object) -> cfg.ConfigOpts:
    path = f"{tmp_path}/nova.conf"
    with open(path, "w") as file:
        file.write(f"[nova]\n{text}")
    conf = cfg.ConfigOpts()
    nova_conf.register_opts(conf)
    conf(["--config-file", path], default_config_dirs=[])
    return conf


@pytest.fixture
def nova(api: NovaApi, tmp_path: object) -> Nova:
    given = f"auth_type = none\nendpoint_override = {api.url}\ntimeout = 1\n"
    return Nova(configuration(given, tmp_path))


def test_records_are_read_from_novas_answer(api: NovaApi, nova: Nova) -> None:
    api.records = [record(SERVER, 17, ITS, AT), record(ITS, 18, SERVER, AT)]
    assert nova.migrations(SERVER) == [
        NovaMigration(
            id=17,
            uuid=ITS,
            server_uuid=SERVER,
            migration_type="live-migration",
            status="running",
            user_id="admin",
            project_id="admins",
            source_compute="source",
            source_node="source.example.org",
            dest_compute="dest",
            dest_node="dest.example.org",
            dest_host="192.0.2.7",
            old_instance_type_id=2,
            new_instance_type_id=2,
            created_at=AT,
            updated_at=AT,
        )
    ]
    ((path, query, headers),) = api.asked
    assert path == "/v2.1/os-migrations"
    assert query == {"instance_uuid": SERVER, "migration_type": "live-migration", "limit": "100"}
    assert headers["OpenStack-API-Version"] == "compute 2.80"


def test_one_connection_carries_all_calls(api: NovaApi, nova: Nova) -> None:
    for _ in range(4):
        nova.migrations(SERVER)
    nova.listed()
    assert len(api.asked) > 4
    assert api.connections == 1


def test_older_nova_does_not_return_the_requester(api: NovaApi, nova: Nova) -> None:
    api.newest = 79
    told = record(SERVER, 17, ITS, AT)
    del told["user_id"], told["project_id"]
    api.records = [told]
    for _ in range(2):
        (found,) = nova.migrations(SERVER)
        assert (found.id, found.user_id, found.project_id) == (17, None, None)
    versions = [headers["OpenStack-API-Version"] for _path, _query, headers in api.asked]
    assert versions == ["compute 2.80", "compute 2.59", "compute 2.59"]


def test_one_that_is_older_still(api: NovaApi, nova: Nova) -> None:
    api.newest = 58
    for _ in range(2):
        with pytest.raises(NoAnswer, match="406"):
            nova.migrations(SERVER)


def several(count: int, status: str = "running") -> list[dict[str, object]]:
    """Newest first, a second apart."""
    return [
        record(str(uuid.uuid4()), number, str(uuid.uuid4()), AT + timedelta(seconds=number))
        | {"status": status}
        for number in range(count, 0, -1)
    ]


def test_list_of_recent_changes_of_all_servers(api: NovaApi, nova: Nova) -> None:
    api.records = several(450)
    found, is_all = nova.changed_since(AT + timedelta(seconds=11))
    assert is_all and [each.id for each in found] == list(range(450, 10, -1))
    assert len(api.asked) == 3
    query = api.asked[0][1]
    assert query["changes-since"] == "2026-09-01T12:00:11"
    assert all(int(asked["limit"]) <= 200 for _path, asked, _headers in api.asked)


def test_list_of_novas_migrations_in_progress(api: NovaApi, nova: Nova) -> None:
    words = ("queued", "preparing", "running", "post-migrating", "running (post-copy)", "error")
    api.records = [each for word in words for each in several(2, word)]
    found, is_all = nova.listed()
    assert is_all
    assert sorted({each.status for each in found}) == sorted(words[:4]) and len(found) == 8


def test_no_more_is_read_than_is_good(api: NovaApi, nova: Nova) -> None:
    api.records = several(1200)
    found, is_all = nova.changed_since(AT)
    assert not is_all and len(found) == 1000 and len(api.asked) == 5


def test_server_without_records_has_an_empty_list(nova: Nova) -> None:
    assert nova.migrations(SERVER) == []


@pytest.mark.parametrize(
    ("code", "body"),
    [
        *((code, b'{"x": {"code": 0, "message": "no"}}') for code in (401, 403, 404, 500, 503)),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (200, b'{"migrations": 1}'),
        (200, b'{"migrations": [1]}'),
        (200, b'{"migrations": [{}]}'),
        (200, b'{"migrations": []}' + b" " * 2**20),
    ],
)
def test_no_answer(api: NovaApi, nova: Nova, code: int, body: bytes) -> None:
    api.ill = code, body
    with pytest.raises(NoAnswer) as raised:
        nova.migrations(SERVER)
    assert len(str(raised.value)) < 500


def test_hanging_nova_is_an_error_in_time(api: NovaApi, nova: Nova) -> None:
    api.awake.clear()
    with pytest.raises(NoAnswer, match="Timeout"):
        nova.migrations(SERVER)


def test_error_403_has_novas_message_and_what_to_do(api: NovaApi, nova: Nova) -> None:
    rule = "Policy doesn't allow os_compute_api:os-migrations:index to be performed."
    api.ill = 403, json.dumps({"forbidden": {"code": 403, "message": rule}}).encode()
    with pytest.raises(NoAnswer) as raised:
        nova.migrations(SERVER)
    assert str(raised.value) == (
        f"HTTP 403 from {api.url}/os-migrations: {rule}; allow [nova] username's role "
        "os_compute_api:os-migrations:index, :index:all_projects and :index:host in Nova's policy"
    )


def test_text_of_an_error_is_limited_and_printable(api: NovaApi, nova: Nova) -> None:
    api.ill = 403, json.dumps({"forbidden": {"message": "\x1b[2J\n" + "x" * 100_000}}).encode()
    with pytest.raises(NoAnswer) as raised:
        nova.migrations(SERVER)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


_HIDDEN = dict.fromkeys(
    ("dest_compute", "dest_host", "dest_node", "source_compute", "source_node"), None
)


def test_records_without_hosts_are_an_error(api: NovaApi, nova: Nova) -> None:
    api.records = [record(SERVER, 17, ITS, AT, **_HIDDEN)]
    with pytest.raises(NoAnswer, match=r"without their hosts: .*index:host in Nova's policy"):
        nova.migrations(SERVER)


def test_check_says_whether_nova_returns_hosts(api: NovaApi, nova: Nova) -> None:
    assert not nova.check()
    api.records = [record(SERVER, 17, ITS, AT)]
    assert nova.check()
    api.records = [record(SERVER, 17, ITS, AT, **_HIDDEN)]
    with pytest.raises(NoAnswer, match="without their hosts"):
        nova.check()


def test_nova_that_is_away_is_an_error(tmp_path: object) -> None:
    given = "auth_type = none\nendpoint_override = http://127.0.0.1:1/v2.1\n"
    with pytest.raises(NoAnswer):
        Nova(configuration(given, tmp_path)).migrations(SERVER)


@pytest.mark.parametrize(
    "values",
    [
        *({"id": value} for value in ("7", 7.0, True, None, 0, -1, 2**31)),
        *({"uuid": value} for value in (None, 7, "", "web")),
        *({"created_at": value} for value in (None, 7, "", "yesterday", "2026-99-01T00:00:00")),
        {"updated_at": 7},
        {"source_compute": ["a"]},
        {"user_id": "u" * 256},
        {"instance_uuid": None},
        {"old_instance_type_id": "1"},
        {"new_instance_type_id": 2**31},
        {"status": 7},
    ],
)
def test_a_record_that_cannot_be_read(values: dict[str, object]) -> None:
    told = {"migrations": [record(SERVER, 17, ITS, AT) | values]}
    with pytest.raises(NoAnswer, match="malformed answer"):
        read(json.dumps(told).encode())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("auth_type = nonsense\n", r"\[nova\] .*nonsense"),
        ("auth_section = elsewhere\n", r"\[nova\] "),
        ("auth_type = none\ntimeout = soon\n", r"\[nova\] .*timeout"),
    ],
)
def test_impossible_options_are_an_error_at_the_start(
    tmp_path: object, given: str, said: str
) -> None:
    conf = configuration(given, tmp_path)
    assert nova_conf.is_asked(conf)
    with pytest.raises(exception.ConfigError, match=said):
        Nova(conf)


def test_nova_is_not_asked_by_default(tmp_path: object) -> None:
    assert not nova_conf.is_asked(configuration("", tmp_path))

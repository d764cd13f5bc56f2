# SPDX-License-Identifier: Apache-2.0
"""The compute endpoint of a cloud, by nginx and by HAProxy: what is migprog's goes to migprog,
everything else to nova-api, as doc/source/beside-nova.rst says."""

import contextlib
import datetime
import http.client
import json
import pathlib
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from lab.parts import processes, proxies
from migprog import objects
from migprog.core.messages import Report
from migprog.core.status import Phase, Status
from migprog.db import models
from migprog.tests import stores
from migprog.tests.functional import nova_api, nova_clients
from migprog.tests.functional.test_api import serving

pytestmark = pytest.mark.functional

WEB, NOBODY = str(uuid.UUID(int=1)), str(uuid.UUID(int=99))
NOVA, MIGPROG = "nova", "migprog"
OF_WEB = f"/v2.1/servers/{WEB}/migrations"


# The API itself asks Nova nothing.
BESIDE_NOVA = """
[oslo_middleware]
enable_proxy_headers_parsing = true
[nova]
auth_type = none
endpoint_override = http://127.0.0.1:1/v2.1
"""


def name_in_nova(store: objects.Store, report: Report, number: int, **values: Any) -> None:
    record = stores.nova_record(report, number, **values)
    assert objects.name(store, stores.migration(store, report), record, time.time())


def keep_fresh(store: objects.Store) -> None:
    """As if every migration were reported until the end of these tests."""
    with store.engine.begin() as connection:
        connection.execute(
            sa.update(models.Migration).values(last_reported_at=datetime.datetime(2100, 1, 1))  # noqa: DTZ001
        )


class Answer(NamedTuple):
    code: int
    headers: http.client.HTTPMessage
    document: Any

    @property
    def by(self) -> str:
        return NOVA if self.headers[nova_api.MARK] else MIGPROG


class Site:
    """A proxy, migprog-api and nova-api behind it, and who asks them by it."""

    def __init__(
        self, proxy: proxies.Proxy, api: processes.Program, tls: proxies.Certificate
    ) -> None:
        self.proxy = proxy
        self.api = api
        self._tls = tls

    def ask(
        self, method: str, path: str, *, own: bool = False, body: str | None = None, **headers: str
    ) -> Answer:
        """By Nova's endpoint or that of our own API; the path is sent to the letter."""
        port = self.proxy.migprog_port if own else self.proxy.nova_port
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=30, context=self._tls.trusting
        )
        with contextlib.closing(connection):
            connection.request(
                method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            text = answer.read()
        is_json = "json" in (answer.headers["content-type"] or "") and text
        return Answer(answer.status, answer.headers, json.loads(text) if is_json else text)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> proxies.Certificate:
    return proxies.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def nova_port() -> Iterator[int]:
    with nova_api.serving() as port:
        yield port


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, processes.Program]]:
    """The port of a migprog-api that knows one server, and its process."""
    directory = tmp_path_factory.mktemp("api")
    url = f"sqlite:///{directory / 'migprog.sqlite'}"
    store = stores.ready(url)
    now = time.time()
    for status, phase, at in (
        (Status.COMPLETED, Phase.DONE, now - 60),
        (Status.RUNNING, Phase.MEMORY_ITERATIONS, now),
    ):
        report = stores.report(
            server_uuid=WEB, status=status, phase=phase, started_at=at - 20, sampled_at=at
        )
        stores.store(store, report, last_reported_at=at)
        name_in_nova(store, report, 1 if status is Status.COMPLETED else 2)
    keep_fresh(store)
    store.close()
    with serving(directory, url, "threading", BESIDE_NOVA) as (base, program):
        yield int(base.rpartition(":")[2]), program


@pytest.fixture(scope="module", params=proxies.NAMES)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    api: tuple[int, processes.Program],
    nova_port: int,
    tls: proxies.Certificate,
) -> Iterator[Site]:
    port, program = api
    directory = tmp_path_factory.mktemp(request.param)
    with proxies.running(request.param, directory, nova_port, port, tls) as proxy:
        yield Site(proxy, program, tls)


@pytest.mark.parametrize(
    "path",
    [
        OF_WEB,
        f"{OF_WEB}?x=/../os-keypairs",
        f"{OF_WEB}/2",
        f"/v2.1/c0ffee/servers/{WEB}/migrations",
        f"/v2.1/c0ffee/servers/{WEB}/migrations/2",
    ],
)
def test_proxy_sends_migprogs_requests_to_migprog(site: Site, path: str) -> None:
    answer = site.ask("GET", path, OpenStack_API_Version="compute 2.80")
    assert (answer.by, answer.code) == (MIGPROG, 200), answer
    assert answer.headers["X-OpenStack-Nova-API-Version"] == "2.80"
    assert answer.headers["OpenStack-API-Version"] == "compute 2.80"
    assert answer.headers["X-Compute-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/v2.1", "/v2.1/", "/v2", f"/v2/servers/{WEB}")),
        *(("GET", f"/v2.1/{path}") for path in ("servers", "servers/detail", f"servers/{WEB}")),
        *(("GET", f"/v2.1/{path}") for path in ("os-migrations", "c0ffee/os-migrations?limit=1")),
        *(("GET", path) for path in ("/healthcheck", "/migrations")),
        # What nginx calls them within itself.
        *(("GET", path) for path in ("/-read", "/-act")),
        ("GET", f"/servers/{WEB}/migrations"),
        ("GET", f"/v2/servers/{WEB}/migrations"),
        ("GET", f"/v2.1/a/b/servers/{WEB}/migrations"),
        ("GET", f"{OF_WEB}/2/action"),
        ("GET", f"{OF_WEB}/2/history"),
        ("DELETE", f"{OF_WEB}/2"),
        ("POST", f"{OF_WEB}/2/action"),
        ("PUT", OF_WEB),
        ("OPTIONS", OF_WEB),
        ("POST", "/v2.1/servers"),
        # Written in other ways: nobody but Nova is asked, and asked just that.
        ("GET", f"{OF_WEB}/"),
        ("GET", f"/{OF_WEB}"),
        ("GET", f"/v2.1//servers/{WEB}/migrations"),
        ("GET", f"/v2.1/servers/{WEB}//migrations"),
        ("GET", f"/v2.1/servers/{WEB}%2Fmigrations"),
        ("GET", f"/v2.1/servers/{WEB}/%6digrations"),
        ("GET", f"/v2%2E1/servers/{WEB}/migrations"),
        ("GET", f"/v2x1/servers/{WEB}/migrations"),
        ("GET", f"/v2.1/flavors/../servers/{WEB}/migrations"),
        ("GET", f"/v2.1/flavors/%2e%2e/servers/{WEB}/migrations"),
        ("GET", f"{OF_WEB}/../os-interface"),
        ("GET", f"{OF_WEB}/.."),
        ("GET", f"{OF_WEB}/."),
        ("GET", f"{OF_WEB}/2%2Faction"),
        ("GET", f"{OF_WEB}/2/../../../../os-keypairs"),
        ("GET", f"{OF_WEB};x"),
        ("GET", f"{OF_WEB}%3Flimit=1"),
        ("GET", f"{OF_WEB}/2%0A"),
        ("GET", f"/v2.1/servers?x={OF_WEB}"),
        ("GET", f"/v2.1/servers/{WEB.replace('-', '')}/migrations"),
    ],
)
def test_proxy_sends_novas_requests_to_nova(site: Site, method: str, path: str) -> None:
    body = '{"force_complete": null}' if method == "POST" else None
    answer = site.ask(method, path, body=body, OpenStack_API_Version="compute 2.80")
    assert (answer.by, answer.code) == (NOVA, 200), answer
    assert (answer.document["method"], answer.document["uri"]) == (method, path)
    assert answer.document["headers"]["openstack-api-version"] == "compute 2.80"
    assert answer.document["body"] == (body or "")


@pytest.mark.parametrize(
    "path", [f"/v2.1/servers/{NOBODY}/migrations", f"{OF_WEB}/1", f"{OF_WEB}/99"]
)
def test_proxy_asks_nova_for_what_migprog_does_not_know(site: Site, path: str) -> None:
    answer = site.ask("GET", path, OpenStack_API_Version="compute 2.80")
    assert (answer.by, answer.code, answer.document["uri"]) == (NOVA, 200, path)


def test_a_newer_novas_microversion(site: Site) -> None:
    """nginx asks Nova next; HAProxy cannot, by this code."""
    answer = site.ask("GET", OF_WEB, OpenStack_API_Version="compute 2.999")
    expected = (NOVA, 200) if site.proxy.name == "nginx" else (MIGPROG, 406)
    assert (answer.by, answer.code) == expected


def test_a_tag_passes(site: Site) -> None:
    tag = site.ask("GET", OF_WEB, OpenStack_API_Version="compute 2.80").headers["ETag"]
    headers = {"OpenStack_API_Version": "compute 2.80", "If_None_Match": tag}
    answer = site.ask("GET", OF_WEB, **headers)
    assert (answer.code, answer.document, answer.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize(
    "lies",
    [
        {},
        {"X_Forwarded_Host": "evil.example.org", "X_Forwarded_Proto": "http"},
        {"Forwarded": "for=192.0.2.66;host=evil.example.org;proto=http"},
        {"X_Forwarded_Prefix": "/evil", "X_Forwarded_For": "192.0.2.66"},
    ],
)
def test_links_have_the_public_address_whatever_headers_a_client_sends(
    site: Site, lies: dict[str, str]
) -> None:
    public = f"https://127.0.0.1:{site.proxy.migprog_port}"
    versions = site.ask("GET", "/", own=True, **lies)
    assert versions.document["versions"][0]["links"][0]["href"] == f"{public}/migrations"
    page = site.ask("GET", "/migrations?limit=1", own=True, **lies).document
    href = page["migrations"][0]["links"][0]["href"]
    assert href == f"{public}/servers/{WEB}/migrations/{page['migrations'][0]['uuid']}"
    assert page["migrations_links"][0]["href"].startswith(f"{public}/migrations?limit=1&marker=")
    received = site.ask("GET", "/v2.1/servers", **lies).document["headers"]
    assert received["x-forwarded-proto"] == "https"
    assert received["x-forwarded-host"] == received["host"] == f"127.0.0.1:{site.proxy.nova_port}"
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert "forwarded" not in received and "x-forwarded-prefix" not in received


def test_proxy_does_not_cut_off_a_long_poll(site: Site) -> None:
    """Longer than a proxy gives a server to be connected to."""
    begin = time.monotonic()
    answer = site.ask("GET", f"/servers/{WEB}/migrations/2?wait=3&since=1", own=True)
    assert (answer.code, answer.document["migration"]["id"]) == (200, 2)
    assert time.monotonic() - begin >= 3


def test_while_migprog_is_away_nova_answers(site: Site) -> None:
    site.api.kill()
    try:
        for _ in range(3):
            for path in (OF_WEB, f"{OF_WEB}/2"):
                answer = site.ask("GET", path)
                assert (answer.by, answer.code, answer.document["uri"]) == (NOVA, 200, path)
            assert site.ask("GET", "/v2.1/servers").by == NOVA
        assert site.ask("GET", "/migrations", own=True).code in (502, 503)
    finally:
        site.api.start()
    asked = {"OpenStack_API_Version": "compute 2.80"}
    processes.wait_for(
        lambda: site.ask("GET", OF_WEB, **asked).by == MIGPROG, 30, "migprog to be asked again"
    )


def test_novas_clients(
    site: Site, tls: proxies.Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.certificate))
    endpoint = f"https://127.0.0.1:{site.proxy.nova_port}/v2.1"
    (listed,) = nova_clients.sdk(endpoint).server_migrations(WEB)
    assert (listed.id, listed.status, listed.source_compute) == (2, "running", "source")
    (listed,) = nova_clients.novaclient(endpoint, "2.80").server_migrations.list(WEB)
    assert (listed.id, listed.status) == (2, "running")


@pytest.mark.parametrize("name", proxies.NAMES)
def test_where_migprog_may_act(
    tmp_path: pathlib.Path,
    name: str,
    api: tuple[int, processes.Program],
    nova_port: int,
    tls: proxies.Certificate,
) -> None:
    """Here it may not, and says so itself: Nova is not asked instead."""
    port, program = api
    with proxies.running(name, tmp_path, nova_port, port, tls, acting=True) as proxy:
        site = Site(proxy, program, tls)
        asked = {"OpenStack_API_Version": "compute 2.80", "Content_Type": "application/json"}
        for project in ("", "/c0ffee"):
            one = f"/v2.1{project}/servers/{WEB}/migrations/2"
            assert site.ask("GET", one, **asked).by == MIGPROG
            body = '{"force_complete": null}'
            for answer in (
                site.ask("DELETE", one, **asked),
                site.ask("POST", f"{one}/action", body=body, **asked),
            ):
                assert (answer.by, answer.code) == (MIGPROG, 501)
            for method, path in (
                ("DELETE", f"{one}/"),
                ("DELETE", f"{one}/../../os-interface/2"),
                ("POST", f"{one}%2Faction"),
                ("POST", one),
                ("DELETE", f"/v2.1{project}/servers/{WEB}"),
                ("POST", f"/v2.1{project}/servers/{WEB}/action"),
            ):
                answer = site.ask(method, path, body="{}", **asked)
                assert (answer.by, answer.document["uri"]) == (NOVA, path)

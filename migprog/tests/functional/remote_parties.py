# SPDX-License-Identifier: Apache-2.0
"""What our processes do when a remote party is away, refuses, goes silent or is slow.

Each cell of the documentation's table is provoked here, with shorter timeouts; the same formula
gives the seconds that the table promises with the defaults. ``python -m
migprog.tests.functional.remote_parties`` writes ``doc/source/remote-parties.csv``.
"""

import contextlib
import csv
import io
import json
import pathlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import kombu
import requests
import sqlalchemy as sa
from falcon import testing
from keystoneauth1 import loading
from oslo_config import cfg

from migprog import context, httpd, objects, rpc
from migprog.api import app
from migprog.api import keystone as api_keystone
from migprog.compute.rpcapi import CALL_TIMEOUT_SECONDS, ComputeAPI, Unanswered
from migprog.conductor.intake import Intake, StoreBatches, storing
from migprog.conductor.manager import ConductorManager
from migprog.conductor.nova import NoAnswer, Nova
from migprog.conductor.rpcapi import TOPIC as CONDUCTOR_TOPIC
from migprog.conductor.rpcapi import ConductorAPI, Unreachable
from migprog.conf import api as api_conf
from migprog.conf import compute as compute_conf
from migprog.conf import database as database_conf
from migprog.conf import nova as nova_conf
from migprog.core.actions import Action, Target
from migprog.core.report import Ack, Batch
from migprog.db import api as db
from migprog.tests import stores
from migprog.tests.faults.relay import Relay
from migprog.tests.fixtures.nova import NovaApi
from migprog.tests.functional import processes
from migprog.tests.functional.databases import Server

CSV = pathlib.Path(__file__).parents[3] / "doc/source/remote-parties.csv"
# What a loaded machine may take besides.
SLACK_SECONDS = 10.0


def _default(options: list[cfg.Opt], name: str) -> float:
    return float(next(each.default for each in options if each.name == name))


@dataclass(frozen=True, slots=True)
class Times:
    """The timeouts of the options."""

    connect: float
    statement: float
    transaction: float
    keystone: float
    keystone_retries: int
    nova: float
    request: float
    answer: float
    rpc: float
    action: float


DEFAULTS = Times(
    connect=_default(database_conf.OPTS, "connect"),
    statement=_default(database_conf.OPTS, "statement"),
    transaction=_default(database_conf.OPTS, "transaction"),
    keystone=api_keystone.DEFAULTS["http_connect_timeout"],
    keystone_retries=api_keystone.DEFAULTS["http_request_max_retries"],
    nova=float(nova_conf.DEFAULTS["timeout"]),
    request=_default(api_conf.OPTS, "request_timeout"),
    answer=httpd.Bounds().answer_seconds,
    rpc=_default(compute_conf.OPTS, "rpc_timeout"),
    action=CALL_TIMEOUT_SECONDS,
)
SHORT = Times(
    connect=1,
    statement=1,
    transaction=2,
    keystone=1,
    keystone_retries=1,
    nova=1,
    request=1,
    answer=1,
    rpc=2,
    action=CALL_TIMEOUT_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """``provoke`` raises an AssertionError if ``process`` does not do ``what``."""

    party: str
    fault: str
    process: str
    what: str
    within: Callable[[Times], float]
    provoke: Callable[..., None]

    @property
    def name(self) -> str:
        return f"{self.party} {self.fault}, {self.process}"


CELLS: list[Cell] = []


def cell(
    party: str, fault: str, process: str, what: str, within: Callable[[Times], float]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register what provokes a cell of the table."""

    def register(provoke: Callable[..., None]) -> Callable[..., None]:
        CELLS.append(Cell(party, fault, process, what, within, provoke))
        return provoke

    return register


def rendered() -> str:
    """The table with the defaults' seconds, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Party", "Fault", "Process", "What it does", "Within"])
    for each in CELLS:
        seconds = each.within(DEFAULTS)
        within = f"{seconds:g} s" if seconds else "at once"
        writer.writerow([each.party, each.fault, each.process, each.what, within])
    return text.getvalue()


# The database: a real one behind a relay.


@dataclass(frozen=True)
class Database:
    """``server``'s empty database behind ``relay``, as conductor and API reach it."""

    server: Server
    url: str
    relay: Relay

    def store(self, port: int | None = None) -> objects.Store:
        via = sa.make_url(self.url).set(port=port or self.relay.port)
        return stores.connect(
            via.render_as_string(hide_password=False),
            connect=int(SHORT.connect),
            statement=int(SHORT.statement),
            transaction=int(SHORT.transaction),
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Have every statement on migrations wait."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        is_mysql = engine.dialect.name == "mysql"
        lock = "LOCK TABLES migrations WRITE" if is_mysql else "LOCK TABLE migrations"
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(lock)
            try:
                yield
            finally:
                if is_mysql:
                    connection.exec_driver_sql("UNLOCK TABLES")


@contextlib.contextmanager
def database(server: Server) -> Iterator[Database]:
    url = server.new_database()
    stores.ready(url).close()
    with Relay(sa.make_url(url).port or 0) as relay:
        yield Database(server, url, relay)


@contextlib.contextmanager
def _intake(store: objects.Store) -> Iterator[Intake]:
    intake = Intake(storing(store))
    intake.start()
    try:
        yield intake
    finally:
        intake.stop()
        store.close()


def _batch() -> Batch:
    return Batch(host="h", node="n", reports=(stores.report(),))


def _refuses_to_store(intake: Intake) -> None:
    try:
        intake.store(_batch())
    except objects.Unavailable:
        return
    raise AssertionError("it was stored")


def _client(store: objects.Store) -> testing.TestClient:
    conf = cfg.ConfigOpts()
    conf.register_opts(api_conf.OPTS, api_conf.GROUP.name)
    db.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("auth_strategy", "noauth", "api")
    application = app.create(conf, store)

    def local(environ: dict[str, Any], answer: Callable[..., Any]) -> Any:
        return application(environ | {"REMOTE_ADDR": "127.0.0.1"}, answer)

    return testing.TestClient(local)


def _asked(store: objects.Store, code: int) -> None:
    client = _client(store)
    try:
        for path in ("/migrations", "/healthcheck"):
            begun = time.monotonic()
            status = client.simulate_get(path).status_code
            assert status == code, f"{path}: {status} after {time.monotonic() - begun:.1f} s"
    finally:
        store.close()


_AGAIN = "stores nothing; agents keep what must arrive and send it again; "


@cell(
    *("database", "away", "conductor"),
    _AGAIN + "a line in the log",
    lambda t: t.transaction + t.connect,
)
def _(database: Database) -> None:
    database.relay.cut()
    with _intake(database.store()) as intake:
        _refuses_to_store(intake)
        database.relay.mend(forgotten=True)
        intake.store(_batch())


@cell("database", "away", "API", "503, also for /healthcheck", lambda t: t.connect)
def _(database: Database) -> None:
    database.relay.cut()
    _asked(database.store(), 503)


@cell("database", "refuses", "conductor", _AGAIN + "a line in the log", lambda t: t.transaction)
def _(database: Database) -> None:
    (port,) = processes.free_ports(1)
    with _intake(database.store(port)) as intake:
        _refuses_to_store(intake)


@cell("database", "refuses", "API", "503, also for /healthcheck", lambda t: 0.0)
def _(database: Database) -> None:
    (port,) = processes.free_ports(1)
    _asked(database.store(port), 503)


@cell(
    *("database", "silent", "conductor"),
    "closes the silent connection and stores on a new one",
    lambda t: t.connect,
)
def _(database: Database) -> None:
    with _intake(database.store()) as intake:
        intake.store(_batch())
        database.relay.silence()
        intake.store(_batch())


@cell(
    *("database", "silent", "API"),
    "closes the silent connection and answers by a new one",
    lambda t: t.connect,
)
def _(database: Database) -> None:
    store = database.store()
    objects.Migration.list(store, limit=1)
    database.relay.silence()
    _asked(store, 200)


@cell(
    *("database", "slow", "conductor"),
    "the statement ends, with its transaction and its locks; " + _AGAIN.rstrip("; "),
    lambda t: t.transaction + t.statement + 1,
)
def _(database: Database) -> None:
    with _intake(database.store()) as intake:
        intake.store(_batch())
        with database.locked():
            _refuses_to_store(intake)
        intake.store(_batch())


@cell("database", "slow", "API", "503, also for /healthcheck", lambda t: t.statement + 1)
def _(database: Database) -> None:
    store = database.store()
    objects.Migration.list(store, limit=1)
    with database.locked():
        _asked(store, 503)


# The broker: a real one, behind a relay.


@dataclass(frozen=True)
class Broker:
    """A broker behind ``relay``; ``url`` goes past that."""

    url: str
    relay: Relay

    def through(self, port: int | None = None) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{port or self.relay.port}/"


@contextlib.contextmanager
def broker(url: str) -> Iterator[Broker]:
    with Relay(int(url.rstrip("/").rpartition(":")[2])) as relay:
        yield Broker(url, relay)


@contextlib.contextmanager
def _transport(url: str) -> Iterator[Any]:
    # oslo.messaging (18.3) takes no other.
    cfg.CONF([], default_config_files=[], default_config_dirs=[])
    transport = rpc.transport(cfg.CONF, url)
    try:
        yield transport
    finally:
        # A broker that does not answer is not told that we go.
        threading.Thread(target=transport.cleanup, daemon=True).start()


def _takes_no_report(transport: Any) -> None:
    conductor = ConductorAPI(transport, SHORT.rpc)
    try:
        conductor.report(_batch().to_wire(), acknowledged=True)
    except Unreachable:
        return
    raise AssertionError("the report was taken")


@contextlib.contextmanager
def _conductor(url: str, store_batches: StoreBatches) -> Iterator[None]:
    """A conductor at the broker that stores by ``store_batches``."""
    intake = Intake(store_batches)
    intake.start()
    with _transport(url) as transport:
        manager = ConductorManager(intake)
        server = rpc.server(transport, CONDUCTOR_TOPIC, "conductor", [manager])
        server.start()
        try:
            yield
        finally:
            server.stop()
            server.wait()
            intake.stop()


def _stored_at_once(heard: Sequence[objects.Heard]) -> list[objects.Stored]:
    return [objects.Stored(Ack()) for _ in heard]


_KEEPS = "keeps what must arrive, goes on watching, and sends it again"
_WAITS = "keeps what must arrive, goes on watching, and sends it when the broker is back"
# oslo.messaging waits longer and longer between two attempts, up to so much.
_RECONNECTS_SECONDS = 30.0


def _is_taken_when(mended: Callable[[], None], transport: Any) -> None:
    conductor = ConductorAPI(transport, 30)
    taken = threading.Event()

    def report() -> None:
        conductor.report(_batch().to_wire(), acknowledged=True)
        taken.set()

    threading.Thread(target=report, daemon=True).start()
    assert not taken.wait(1)
    mended()
    assert taken.wait(60)


@cell("broker", "away", "agent", _WAITS, lambda t: _RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    broker.relay.cut()
    with _conductor(broker.url, _stored_at_once), _transport(broker.through()) as transport:
        _is_taken_when(lambda: broker.relay.mend(forgotten=True), transport)


@cell("broker", "refuses", "agent", _WAITS, lambda t: _RECONNECTS_SECONDS)
def _(broker: Broker) -> None:
    (port,) = processes.free_ports(1)
    broker.relay.redirect(port)
    real = int(broker.url.rstrip("/").rpartition(":")[2])
    with _conductor(broker.url, _stored_at_once), _transport(broker.through()) as transport:
        _is_taken_when(lambda: broker.relay.redirect(real), transport)


# Its connections for calls and for answers are opened anew, by kombu's 5 s each.
@cell("broker", "silent", "agent", _KEEPS, lambda t: t.rpc + 15)
def _(broker: Broker) -> None:
    with (
        _conductor(broker.url, _stored_at_once),
        _transport(broker.through()) as transport,
    ):
        ConductorAPI(transport, 30).report(_batch().to_wire(), acknowledged=True)
        broker.relay.cut()
        _takes_no_report(transport)


@cell("broker", "slow", "agent", _KEEPS + "; it reports less often", lambda t: t.rpc)
def _(broker: Broker) -> None:
    go = threading.Event()

    def late(heard: Sequence[objects.Heard]) -> list[objects.Stored]:
        go.wait(60)
        return _stored_at_once(heard)

    with _conductor(broker.url, late), _transport(broker.through()) as transport:
        try:
            _takes_no_report(transport)
        finally:
            go.set()


@cell(
    *("broker", "client silent", "conductor"),
    "answers others at once; an answer to a reply queue that does not exist is tried for 10 s, and "
    "at most 200 of them",
    lambda t: 0.0,
)
def _(broker: Broker) -> None:
    with (
        _conductor(broker.url, _stored_at_once),
        _transport(broker.url) as transport,
        kombu.Connection(broker.url.replace("rabbit:", "amqp:")) as connection,
    ):
        conductor = ConductorAPI(transport, 60)
        conductor.report(_batch().to_wire(), acknowledged=True)
        exchange = kombu.Exchange("openstack", "topic", durable=False, passive=True)
        producer = kombu.Producer(connection.channel())
        for number in range(400):
            call = {
                "method": "report",
                "args": {"batch": _batch().to_wire()},
                "version": "1.0",
                "_msg_id": str(number),
                "_unique_id": str(number),
                "_reply_q": f"nobody-{number % 7}",
            }
            producer.publish(
                json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(call)}),
                exchange=exchange,
                routing_key=CONDUCTOR_TOPIC,
                content_type="application/json",
                content_encoding="utf-8",
            )
        conductor.report(_batch().to_wire(), acknowledged=True)


_NO_ACTION = "503: the agent does not answer"


def _acts_not(transport: Any) -> None:
    target = Target(uuid=stores.report().uuid, server_uuid=stores.report().server_uuid)
    try:
        ComputeAPI(transport).ask(context.for_service(), "nowhere", Action.ABORT, target)
    except Unanswered:
        return
    raise AssertionError("somebody has answered")


@cell("broker", "refuses", "API, an action", _NO_ACTION, lambda t: t.action + 1)
def _(broker: Broker) -> None:
    (port,) = processes.free_ports(1)
    with _transport(broker.through(port)) as transport:
        _acts_not(transport)


@cell("broker", "silent", "API, an action", _NO_ACTION, lambda t: t.action + 1)
def _(broker: Broker) -> None:
    broker.relay.cut()
    with _transport(broker.through()) as transport:
        _acts_not(transport)


# Keystone: an API that serves, and a token that it does not know yet.


@contextlib.contextmanager
def _behind_keystone(url: str) -> Iterator[str]:
    """An API's address whose Keystone is at ``url``; it has four threads."""
    conf = cfg.ConfigOpts()
    conf.register_opts(api_conf.OPTS, api_conf.GROUP.name)
    db.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    loading.register_auth_conf_options(conf, "keystone_authtoken")
    conf.register_opts(loading.get_auth_plugin_conf_options("v3token"), "keystone_authtoken")
    conf.set_override("connection", "sqlite://", "database")
    conf.set_override("threads", 4, "api")
    for group, options in api_keystone.keystone_opts.list_auth_token_opts():
        conf.register_opts(options, group)
    for name, value in {
        "auth_type": "v3token",
        "auth_url": url,
        "token": "ours",
        "www_authenticate_uri": url,
        "http_connect_timeout": int(SHORT.keystone),
    }.items():
        conf.set_override(name, value, "keystone_authtoken")
    store = stores.ready("sqlite://")
    server = httpd.Server(
        app.create(conf, store), "127.0.0.1", 0, 4, "[test] listen", reserved=("/healthcheck", "/")
    )
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        store.close()


def _others_are_served(url: str) -> None:
    """While more requests than there are threads have tokens that Keystone should know."""
    with _behind_keystone(url) as api:
        found: list[int] = []

        def ask(number: int) -> None:
            headers = {"X-Auth-Token": f"unknown-{number}"}
            answer = requests.get(f"{api}/migrations", headers=headers, timeout=60)
            found.append(answer.status_code)

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for each in asking:
            each.start()
        begun = time.monotonic()
        assert requests.get(f"{api}/", timeout=60).status_code == 200
        public_seconds = time.monotonic() - begun
        for each in asking:
            each.join(60)
        assert found == [503] * len(asking), found
        assert public_seconds < SHORT.keystone + SLACK_SECONDS / 2, public_seconds


def _keystone_seconds(times: Times) -> float:
    # A second to wait for one's turn, and half a second before the next attempt.
    return 1 + (1 + times.keystone_retries) * times.keystone + 0.5 * times.keystone_retries


_ONLY_NEW = "503 for tokens not seen before; known tokens and public paths are served"


@cell("Keystone", "away", "API", _ONLY_NEW, _keystone_seconds)
def _() -> None:
    with _full_backlog() as port:
        _others_are_served(f"http://127.0.0.1:{port}/v3")


@cell("Keystone", "refuses", "API", _ONLY_NEW, lambda t: 1 + 0.5 * t.keystone_retries)
def _() -> None:
    (port,) = processes.free_ports(1)
    _others_are_served(f"http://127.0.0.1:{port}/v3")


@cell("Keystone", "silent", "API", _ONLY_NEW, _keystone_seconds)
def _() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _others_are_served(f"http://127.0.0.1:{silent.getsockname()[1]}/v3")


@cell("Keystone", "slow", "API", _ONLY_NEW, _keystone_seconds)
def _() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # It begins to answer, and does not go on.
        threading.Thread(target=_begin_to_answer, args=(listener,), daemon=True).start()
        _others_are_served(f"http://127.0.0.1:{listener.getsockname()[1]}/v3")


@contextlib.contextmanager
def _full_backlog() -> Iterator[int]:
    """A port whose connections are not even begun to be established, as of a host that is off."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def _begin_to_answer(listener: socket.socket) -> None:
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        while True:
            client, _ = listener.accept()
            stack.enter_context(client)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


# Nova: it is asked in a thread that nobody waits for.


def _no_name(url: str) -> None:
    conf = cfg.ConfigOpts()
    nova_conf.register_opts(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("none"), "nova")
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in {
        "auth_type": "none",
        "endpoint_override": url,
        "timeout": int(SHORT.nova),
    }.items():
        conf.set_override(name, value, "nova")
    try:
        Nova(conf).migrations("00000000-0000-0000-0000-000000000001")
    except NoAnswer:
        return
    raise AssertionError("Nova has answered")


_LATER = "stores reports as ever; Nova's ids of the migration stay unknown, and are asked for again"


@cell("Nova", "away", "conductor", _LATER, lambda t: t.nova)
def _() -> None:
    with _full_backlog() as port:
        _no_name(f"http://127.0.0.1:{port}/v2.1")


@cell("Nova", "refuses", "conductor", _LATER, lambda t: 0.0)
def _() -> None:
    (port,) = processes.free_ports(1)
    _no_name(f"http://127.0.0.1:{port}/v2.1")


@cell("Nova", "silent", "conductor", _LATER, lambda t: t.nova)
def _() -> None:
    nova = NovaApi()
    nova.awake.clear()
    with nova.serving():
        try:
            _no_name(nova.url)
        finally:
            nova.awake.set()


@cell("Nova", "slow", "conductor", _LATER, lambda t: 3 * t.nova)
def _() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_begin_to_answer, args=(listener,), daemon=True).start()
        _no_name(f"http://127.0.0.1:{listener.getsockname()[1]}/v2.1")


# A client of the API.


@contextlib.contextmanager
def _api() -> Iterator[int]:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        body = b"x" * (50_000_000 if environ["PATH_INFO"] == "/large" else 10)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    bounds = httpd.Bounds(request_seconds=SHORT.request, answer_seconds=SHORT.answer)
    server = httpd.Server(application, "127.0.0.1", 0, 1, "[test] listen", bounds=bounds)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def _another_is_served(port: int) -> None:
    answer = requests.get(f"http://127.0.0.1:{port}/", timeout=60)
    assert answer.status_code == 200


def _is_closed_after(says: bytes) -> None:
    with _api() as port, socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(says)
        _another_is_served(port)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


_CLOSED = "closes its connection; no thread waits for it"


@cell("client", "away", "API", _CLOSED + ", others are served meanwhile", lambda t: t.answer)
def _() -> None:
    with _api() as port, socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        _another_is_served(port)

        def is_closed() -> bool:
            try:
                client.send(b"x")
            except ConnectionError:
                return True
            return False

        processes.wait_for(is_closed, 60, "the connection to be closed")


@cell("client", "refuses", "API", "goes on without it, where it resets its connection", lambda t: 0)
def _() -> None:
    with _api() as port:
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        _another_is_served(port)


@cell("client", "silent", "API", _CLOSED, lambda t: t.request)
def _() -> None:
    _is_closed_after(b"")


@cell("client", "slow", "API", _CLOSED, lambda t: t.request)
def _() -> None:
    _is_closed_after(b"GET / HTTP/1.1\r\nHost: x\r\n")


if __name__ == "__main__":
    # The module under its own name, whose cells are the ones that count.
    from migprog.tests.functional import remote_parties

    CSV.write_text(remote_parties.rendered())
    sys.stdout.write(f"{CSV}\n")

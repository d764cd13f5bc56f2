# SPDX-License-Identifier: Apache-2.0
"""Remote calls that hang, answers that cannot be delivered, and contexts that anybody may send."""

import collections
import contextlib
import logging
import queue
import subprocess
import sys
import threading

import oslo_messaging as messaging
import pytest
from oslo_config import cfg

from migprog import context, rpc
from migprog.conf import log_lines
from migprog.deadline import DeadlineRunner
from migprog.rpc.replies import Replies
from migprog.tests.fixtures.threads import cannot_start

_SECONDS = 60


def undeliverable():
    raise messaging.MessageUndeliverable(None, "", "", None)


def test_a_call_that_hangs_ends_in_time_and_so_many_hang_and_no_more():
    calls, go = DeadlineRunner(most=1), threading.Event()
    with pytest.raises(TimeoutError, match="no answer"):
        calls.run(lambda: go.wait(_SECONDS), 0.1)
    with pytest.raises(TimeoutError, match="too many"):
        calls.run(lambda: 1, _SECONDS)
    go.set()


def test_calls_are_possible_again_once_threads_can_be_started_again(monkeypatch):
    calls = DeadlineRunner(most=1)
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", cannot_start)
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r"call to the broker .* can't start new thread"):
                calls.run(lambda: 7, _SECONDS)
    assert calls.run(lambda: 7, _SECONDS) == 7


def test_a_call_gives_its_result_and_its_error():
    calls = DeadlineRunner(most=1)
    assert calls.run(lambda: 7, _SECONDS) == 7
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0, _SECONDS)
    assert calls.run(lambda: 8, _SECONDS) == 8


def test_replies_tries_again_while_the_queue_is_missing():
    attempts, sent = [], threading.Event()

    def send():
        attempts.append(1)
        if len(attempts) < 3:
            undeliverable()
        sent.set()

    Replies().send("reply_1", send)
    assert sent.wait(_SECONDS)
    assert len(attempts) == 3


class Incoming:
    """A message as oslo.messaging's RabbitMQ driver has it; a cast has no ``msg_id``."""

    def __init__(self, method, msg_id=None):
        self.message = {"method": method}
        self.orig_msg_id = msg_id


class Server(rpc.Server):
    """Notes the threads in which it serves messages."""

    def _process_incoming(self, incoming):
        self.threads.put(threading.current_thread())


@contextlib.contextmanager
def serving(at_once=frozenset()):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    target = messaging.Target(topic="t", server="h")
    server = Server(rpc.transport(conf, "fake://"), target, [], (), at_once)
    server.threads = queue.SimpleQueue()
    server.start()
    yield server
    server.stop()
    server.wait()


@pytest.mark.parametrize(
    ("incoming", "is_same"),
    [
        (Incoming("progress"), True),
        # Its answer may have to wait.
        (Incoming("progress", "1"), False),
        (Incoming("report"), False),
        (Incoming("report", "1"), False),
    ],
)
def test_server_serves_only_casts_of_named_methods_in_the_receiving_thread(incoming, is_same):
    with serving(frozenset({"progress"})) as server:
        server._on_incoming([incoming])
        assert (server.threads.get(timeout=_SECONDS) is threading.current_thread()) == is_same


def test_server_starts_no_thread_while_another_is_idle():
    with serving() as server:
        before = threading.active_count()
        for _ in range(50):
            server._on_incoming([Incoming("report", "1")])
            server.threads.get(timeout=_SECONDS)
        # One that has served is idle a moment later.
        assert threading.active_count() - before < 50


@pytest.mark.parametrize("name", [None, 5, ["progress"], {}])
def test_server_takes_no_odd_name_for_a_method(name):
    assert not rpc._is_cast_of(frozenset({"progress"}), Incoming(name))


@pytest.mark.parametrize("queue", ["", "x" * 256, "\ud800", {"a": 1}, 5, None])
def test_replies_drops_answers_to_invalid_queue_names(caplog, queue):
    sent = []
    Replies().send(queue, lambda: sent.append(queue))
    assert not sent
    assert "dropped 1 answer(s)" in caplog.text


def test_replies_whose_thread_could_not_start_are_sent_by_the_next_ones(monkeypatch):
    replies, sent = Replies(), threading.Semaphore(0)
    attempts: collections.Counter[str] = collections.Counter()

    def send_to(name):
        attempts[name] += 1
        if attempts[name] == 1:
            undeliverable()
        sent.release()

    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", cannot_start)
        with pytest.raises(RuntimeError):
            replies.send("first", lambda: send_to("first"))
    replies.send("second", lambda: send_to("second"))
    assert sent.acquire(timeout=_SECONDS) and sent.acquire(timeout=_SECONDS)


def test_replies_gives_up_and_logs_it_once(caplog):
    replies = Replies(give_up_seconds=0.3)
    gone = threading.Semaphore(0)

    def send():
        gone.release()
        undeliverable()

    for number in range(300):
        replies.send(f"nobody_{number}", send)
    for _ in range(300):
        assert gone.acquire(timeout=_SECONDS)
    lines = [line for line in caplog.messages if "does not exist" in line]
    assert len(lines) == 1 and "'nobody_" in lines[0]


@pytest.mark.parametrize(
    "values",
    [
        {"request_id": "req-1 - -]\nERROR forged \x1b[31m", "user": "u" * 2_000_000},
        {"request_id": ["x"], "user": {"a": 1}, "project_id": 5, "global_request_id": "x\n"},
        {"roles": 5, "is_admin": "x", "auth_token": "secret"},
        *([], "x", None, 5),
    ],
)
def test_a_context_has_identifiers_and_nothing_else(values):
    found = context.from_dict(values)
    assert found.request_id.startswith("req-") and len(found.request_id) == 40
    assert (found.user_id, found.project_id, found.auth_token) == (None, None, None)
    assert not found.is_admin and found.global_request_id is None


def test_a_context_that_follows_the_rules_is_kept():
    values = {"request_id": "req-7", "user": "a" * 64, "project_id": "p", "global_request_id": "g"}
    found = context.from_dict(values)
    assert (found.request_id, found.user_id, found.project_id) == ("req-7", "a" * 64, "p")


@pytest.fixture
def logged(tmp_path):
    """A logger, and what its file has."""
    path = tmp_path / "log"
    logger = logging.getLogger("test of log lines")
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("prefix %(message)s"))
    logger.addHandler(handler)
    log_lines.keep_printable(logger)
    yield logger, path.read_text
    logger.removeHandler(handler)
    handler.close()


def test_log_line_is_one_printable_line_of_limited_length(logged):
    logger, text = logged
    logger.warning("from %s", "x\nERROR forged \x1b[31m\u202e\r")
    logger.warning("%s", "y" * 2_000_000)
    logger.warning("%d", "no number")
    first, second, third = text().splitlines()
    assert first == "prefix from x\\nERROR forged \\x1b[31m\\u202e\\r"
    assert len(second) < 5000
    assert third.startswith("prefix cannot format the log message '%d'")


def test_a_traceback_keeps_its_lines_and_is_printable(logged):
    logger, text = logged
    try:
        raise ValueError("\x1b[31m" + "z" * 100_000)
    except ValueError:
        logger.exception("it failed")
    lines = text().splitlines()
    assert lines[:2] == ["prefix it failed", "Traceback (most recent call last):"]
    assert "\\x1b[31mzzz" in lines[-2] + lines[-1]
    assert max(map(len, lines)) < 5000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 15), ("[oslo_messaging_rabbit]\nheartbeat_timeout_threshold = 42\n", 42)],
)
def test_silent_broker_is_noticed_soon_unless_the_operator_wants_otherwise(tmp_path, text, seconds):
    path = tmp_path / "x.conf"
    path.write_text(f"[DEFAULT]\ntransport_url = rabbit://u:p@127.0.0.1:1/\n{text}")
    read = "import sys; from oslo_config import cfg; from migprog import rpc; c = cfg.CONF"
    show = "rpc.transport(c); print(c.oslo_messaging_rabbit.heartbeat_timeout_threshold)"
    # oslo.messaging takes no other than the process's configuration.
    code = f"{read}; c(['--config-file', sys.argv[1]], default_config_dirs=[]); {show}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)], capture_output=True, check=True
    )
    assert int(done.stdout) == seconds

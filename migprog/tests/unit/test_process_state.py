# SPDX-License-Identifier: Apache-2.0
"""What a test sets up in its process is gone after it (migprog/tests/process_state.py)."""

import logging
import os
import sys

from migprog import conf, logs
from migprog.tests import process_state

RABBIT = "oslo.messaging._drivers.impl_rabbit"
NEW = "migprog.tests.a_logger_that_was_not_there"


def set_up():
    """How the process's logging is, as values."""
    names = ["", "amqp", RABBIT, "keystonemiddleware", "sqlalchemy"]
    loggers = [logging.getLogger(name) for name in names]
    return [(list(e.handlers), list(e.filters), e.level, e.propagate) for e in loggers], (
        sys.excepthook
    )


def test_a_configuration_that_was_read_leaves_no_trace_in_the_log(tmp_path):
    path = tmp_path / "migprog.conf"
    path.write_text("[DEFAULT]\ndebug = true\n")
    before = set_up()
    with process_state.restored():
        conf.load(["--config-file", str(path)], "test")
        assert set_up() != before
    assert set_up() == before


def test_global_configuration_can_be_loaded_again(tmp_path):
    path = tmp_path / "migprog.conf"
    path.write_text("")
    for _ in range(2):
        with process_state.restored():
            conf.load(["--config-file", str(path)], "test")


def test_a_line_that_a_test_has_seen_is_new_to_the_next_one(caplog):
    for _ in range(2):
        with process_state.restored():
            logs.tame()
            for _ in range(3):
                logging.getLogger(RABBIT).error("Connection failed: x")
    assert caplog.messages == ["Connection failed: x"] * 2


def test_new_logger_is_reset():
    with process_state.restored():
        logging.getLogger(NEW).setLevel(logging.ERROR)
        logging.getLogger(NEW).propagate = False
    new = logging.getLogger(NEW)
    assert (new.level, new.propagate, new.filters) == (logging.NOTSET, True, [])


def test_environment_and_working_directory_are_the_same_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MIGPROG_A", "before")
    monkeypatch.setenv("MIGPROG_B", "before")
    before = os.getcwd()
    with process_state.restored():
        os.environ["MIGPROG_A"] = os.environ["MIGPROG_C"] = "changed"
        del os.environ["MIGPROG_B"]
        os.chdir(tmp_path)
    assert os.getcwd() == before
    assert [os.environ.get(f"MIGPROG_{name}") for name in "ABC"] == ["before", "before", None]

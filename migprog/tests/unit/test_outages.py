# SPDX-License-Identifier: Apache-2.0
"""What is written to the log when something is away."""

import io
import logging
import sys

import amqp
import kombu
import oslo_messaging as messaging
import pytest
from oslo_config import cfg
from oslo_log import formatters, log

from migprog import exception, logs, outages, rpc
from migprog.db import address
from migprog.rpc import brokers
from migprog.tests import stores

LOG = logging.getLogger(__name__)
RABBIT = "oslo.messaging._drivers.impl_rabbit"


@pytest.fixture
def party():
    return outages.Party(
        LOG, "message broker 10.0.0.1:5672", "reports wait in this agent", outages.CHECK_BROKER
    )


def test_line_says_what_where_what_follows_what_to_do_and_when_it_tries_again(party, caplog):
    party.failed("cannot connect: refused", 0.4567)
    party.failed("cannot connect: refused", 3.0)
    party.worked()
    assert caplog.messages[0] == (
        "message broker 10.0.0.1:5672: cannot connect: refused; reports wait in this agent; "
        "check the broker and [DEFAULT] transport_url; next try in 457 ms"
    )
    assert caplog.messages[1].startswith("message broker 10.0.0.1:5672: works again (2 failures in")
    assert len(caplog.messages) == 2


def test_refusal_is_an_error_and_absence_a_warning(party, caplog):
    party.failed("away")
    party.failed("refuses the login", refused=True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_party_of_a_name_is_one_object_while_it_is_referenced():
    held = outages.party(LOG, "database x", "nothing is stored", outages.CHECK_DATABASE)
    assert outages.party(LOG, "database x", "nothing is stored", outages.CHECK_DATABASE) is held
    held.failed("away")
    (said,) = (str(each) for each in outages.holding_up() if each is held)
    assert said.startswith("database x, failing for ")
    outages.worked("database x")
    assert held not in outages.holding_up()


def test_parties_may_come_and_go_while_those_that_hold_up_are_looked_for():
    held = outages.party(LOG, "database w", "nothing is stored", outages.CHECK_DATABASE)
    others: list[outages.Party] = []

    def between_two_lines(*_what):
        others.append(outages.party(LOG, f"broker {len(others)}", "", ""))
        return between_two_lines

    with held.awaited():
        sys.settrace(between_two_lines)
        try:
            found = outages.holding_up()
        finally:
            sys.settrace(None)
    assert held in found
    assert len(others) > 1


def test_outage_of_a_party_is_one_line_with_what_follows_for_each_of_its_users(caplog):
    agent = outages.party(LOG, "broker z", "reports wait", outages.CHECK_BROKER)
    api = outages.party(LOG, "broker z", "actions are answered 503", outages.CHECK_BROKER)
    notifying = outages.party(LOG, "broker z", "no notification is sent", "check [notifications]")
    for each in (api, agent, notifying):
        each.failed("away")
    assert caplog.messages == [
        "broker z: away; reports wait; actions are answered 503; no notification is sent; "
        f"{outages.CHECK_BROKER}; check [notifications]"
    ]


def test_party_being_called_delays_a_stop_before_it_has_failed(party):
    held = outages.party(LOG, "database y", "nothing is stored", outages.CHECK_DATABASE)
    with held.awaited():
        (said,) = (str(each) for each in outages.holding_up() if each is held)
        assert said.startswith("database y, no answer for ")
        held.failed("no answer within 5 s")
        assert str(held).startswith("database y, failing for ")
        held.worked()
    assert held not in outages.holding_up()


def test_line_has_the_exception_at_hand_once_however_that_is_worded(party, caplog):
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf([])
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatters.ContextFormatter(config=conf))
    logging.getLogger().addHandler(handler)
    try:
        logs.tame()
        try:
            raise OSError("the database at 10.0.0.1 is away: refused")
        except OSError:
            party.failed("is away: refused")
            LOG.warning("something else")
    finally:
        logging.getLogger().removeHandler(handler)
    of_party, other = handler.stream.getvalue().splitlines()
    assert of_party.endswith(
        "10.0.0.1:5672: is away: refused; reports wait in this agent; check the broker and "
        "[DEFAULT] transport_url"
    )
    assert other.endswith("something else: OSError: the database at 10.0.0.1 is away: refused")


@pytest.fixture
def tamed(party, caplog):
    """The libraries' loggers as a service sets them up; the root logger is not at DEBUG."""
    logs.tame()
    logs.report_broker(party)
    caplog.set_level(logging.INFO)
    yield
    logs.report_broker(None)


def test_attempts_of_the_driver_are_one_line_with_the_address(tamed, caplog):
    log = logging.getLogger(RABBIT)
    for _ in range(50):
        log.error("Connection failed: %s (retrying in %s seconds)", "ECONNREFUSED", 1.0)
        log.error("[%(connection_id)s] AMQP server on %(hostname)s:%(port)s is unreachable: "
                  "%(err_str)s. Trying again in %(sleep_time)d seconds.",
                  {"connection_id": 1, "hostname": "h", "port": 1, "err_str": "ECONNREFUSED",
                   "sleep_time": 1})  # fmt: skip
    log.info("[%(connection_id)s] Reconnected to AMQP server on %(hostname)s",
             {"connection_id": 1, "hostname": "h"})  # fmt: skip
    assert len(caplog.messages) == 2
    assert "10.0.0.1:5672: cannot connect: ECONNREFUSED;" in caplog.messages[0]
    assert "works again (100 failures" in caplog.messages[1]


def test_driver_attempts_are_logged_if_no_party_logs_them(tamed, caplog):
    logs.report_broker(None)
    for _ in range(50):
        logging.getLogger(RABBIT).error(
            "Connection failed: %s (retrying in %s seconds)", "ECONNREFUSED", 1.0
        )
    assert caplog.messages == ["Connection failed: ECONNREFUSED (retrying in 1.0 seconds)"]


def test_unexpected_error_is_logged_once_in_full(tamed, caplog):
    log = logging.getLogger("oslo.db.api")
    for _ in range(50):
        log.error(
            "a new kind of trouble with %s", "x", exc_info=(ValueError, ValueError("y"), None)
        )
        log.error("DB exceeded retry limit.")
    (record,) = caplog.records
    assert record.getMessage() == "a new kind of trouble with x"
    assert record.exc_info


@pytest.mark.parametrize(
    ("error", "text", "is_refusal"),
    [
        (OSError(111, "ECONNREFUSED"), "cannot connect: [Errno 111] ECONNREFUSED", False),
        (kombu.exceptions.OperationalError("x\ny"), "cannot connect: x", False),
        (
            messaging.MessageDeliveryFailure(
                "Unable to connect to AMQP server on h:1 after 1 tries: [Errno 111] refused"
            ),
            "cannot connect: [Errno 111] refused",
            False,
        ),
        (
            amqp.AccessRefused("ACCESS_REFUSED - Login was refused"),
            "refuses the login of [DEFAULT] transport_url, wrong user or password: "
            "ACCESS_REFUSED - Login was refused",
            True,
        ),
        (
            amqp.NotAllowed("NOT_ALLOWED - vhost x not found"),
            "refuses the login of [DEFAULT] transport_url, no such virtual host, or the user has "
            "no permission there: NOT_ALLOWED - vhost x not found",
            True,
        ),
        (
            amqp.AccessRefused("ACCESS_REFUSED - access to topic 'x' refused", method_sig=(60, 40)),
            "the user of [DEFAULT] transport_url is logged in and lacks a permission for "
            "Basic.publish: ACCESS_REFUSED - access to topic 'x' refused; rabbitmqctl "
            "list_permissions and list_topic_permissions show what it may do",
            True,
        ),
        (
            messaging.RemoteError("Unavailable", "the database is away", ["Traceback\n"]),
            "the conductor failed: Unavailable: the database is away",
            False,
        ),
    ],
)
def test_cause_of_a_failure_at_the_broker_is_one_line(error, text, is_refusal):
    assert brokers.cause(error) == brokers.Cause(text, is_refusal)


@pytest.mark.parametrize(
    "url",
    [
        "rabbit://migprog:S3CRET@10.0.0.1:notaport/x",
        "rabbit://migprog:S3CRET@10.0.0.1:99999/x",
        "rabbit://migprog:S3CRET@[::1:5/x",
        "rabbit://migprog:pa/S3CRET@10.0.0.1/x",
        "rabbit://migprog:S3CRET#x@10.0.0.1/x",
        "rabbit://migprog:S3CRET?x@10.0.0.1/x",
        "rabit://migprog:S3CRET@10.0.0.1/x",
        "migprog:S3CRET@10.0.0.1",
    ],
)
def test_impossible_transport_url_is_refused_without_its_password(url):
    with pytest.raises(exception.ConfigError) as error:
        rpc.transport(cfg.CONF, url)
    assert str(error.value).startswith("[DEFAULT] transport_url: ")
    assert "S3CRET" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://u:S3CRET@127.0.0.1:notaport/x",
        "mysql+pymysql://u:S3CRET@127.0.0.1:99999/x",
        "mysql+pymysql://u:x@S3CRET@127.0.0.1/x",
        "mysqll://u:S3CRET@127.0.0.1/x",
        "mysql+nope://u:S3CRET@127.0.0.1/x",
        "u:S3CRET@127.0.0.1/x",
    ],
)
def test_impossible_database_url_is_refused_without_its_password(url):
    with pytest.raises(exception.ConfigError) as error:
        stores.connect(url)
    assert str(error.value).startswith("[database] connection: ")
    assert "S3CRET" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "is_refusal"),
    [
        ((1045, "Access denied for user"), True),
        ((1049, "Unknown database"), True),
        ((2003, "Can't connect to MySQL server"), False),
        ((1040, "Too many connections"), False),
        (('FATAL:  password authentication failed for user "x"',), True),
        (('FATAL:  database "x" does not exist',), True),
        (("FATAL:  the database system is starting up",), False),
        (("FATAL:  sorry, too many clients already",), False),
    ],
)
def test_refused_login_is_distinguished_from_an_unavailable_database(arguments, is_refusal):
    assert address.is_refusal(Exception(*arguments)) is is_refusal

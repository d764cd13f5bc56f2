# SPDX-License-Identifier: Apache-2.0
"""The message broker's name and errors, for operators."""

import re
from dataclasses import dataclass

import oslo_messaging as messaging
from amqp import exceptions as amqp_exceptions
from kombu import exceptions as kombu_exceptions
from oslo_config import cfg

AMQP_PORT = 5672
_MOST_CHARACTERS = 300
# The text of MessageDeliveryFailure.
_UNDELIVERED = re.compile(r"Unable to connect to AMQP server on .* after \S+ tries: (.*)")

# What oslo.messaging (18.3) raises of its own, of kombu and of amqp. A refused login is an error of
# amqp alone.
ERRORS = (
    messaging.MessagingException,
    kombu_exceptions.KombuError,
    amqp_exceptions.AMQPError,
    OSError,
)
# The broker refuses: a retry fails until someone changes the configuration.
_REFUSALS = (amqp_exceptions.AccessRefused, amqp_exceptions.NotAllowed)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a broker cannot be used; ``is_refusal``: it refuses our login or an operation."""

    text: str
    is_refusal: bool = False


def where(conf: cfg.ConfigOpts, url: str | None = None) -> str:
    """Return hosts and virtual host of the broker of ``url``, or else of the option
    ``transport_url``, without user and password."""
    try:
        parsed = messaging.TransportURL.parse(conf, url)
    except (messaging.InvalidTransportURL, ValueError):
        return "message broker"
    hosts = ", ".join(f"{_bracketed(h.hostname)}:{h.port or AMQP_PORT}" for h in parsed.hosts)
    return f"message broker {hosts or parsed.transport}, virtual host {parsed.virtual_host or '/'}"


def cause(
    error: Exception, asked: str = "the conductor", option: str = "[DEFAULT] transport_url"
) -> Cause:
    """Return in one line what one of :data:`ERRORS` means. ``asked``: who was called; ``option``:
    the one that names the broker."""
    refused = next((each for each in _chain(error) if isinstance(each, _REFUSALS)), None)
    if refused is not None and _is_of_permissions(refused):
        text = _cut(refused.reply_text)
        return Cause(
            f"the user of {option} is logged in and lacks a permission for "
            f"{refused.method_name}: {text}; rabbitmqctl list_permissions and "
            "list_topic_permissions show what it may do",
            True,
        )
    if refused is not None:
        what = (
            "wrong user or password"
            if refused.reply_code == amqp_exceptions.AccessRefused.code
            else "no such virtual host, or the user has no permission there"
        )
        text = _cut(refused.reply_text or refused)
        return Cause(f"refuses the login of {option}, {what}: {text}", True)
    if isinstance(error, messaging.MessagingTimeout):
        return Cause("no answer in time")
    if isinstance(error, messaging.RemoteError):
        return Cause(f"{asked} failed: {error.exc_type}: {_cut(error.value)}")
    if isinstance(error, OSError | kombu_exceptions.OperationalError):
        return Cause(f"cannot connect: {_line(error)}")
    if failed := _UNDELIVERED.search(str(error)):
        return Cause(f"cannot connect: {_cut(failed[1])}")
    return Cause(f"{type(error).__name__}: {_line(error)}")


def lacks_permission(error: BaseException) -> bool:
    """Return whether the broker accepted our login, and refused an operation after it."""
    return any(isinstance(each, _REFUSALS) and _is_of_permissions(each) for each in _chain(error))


def _is_of_permissions(refused: amqp_exceptions.AMQPError) -> bool:
    # A refused login names a method of the class Connection, or none.
    return bool(refused.method_name) and not refused.method_name.startswith("Connection.")


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _line(error: BaseException) -> str:
    return _cut(str(error)) or type(error).__name__


def _cut(text: object) -> str:
    return str(text).strip().partition("\n")[0][:_MOST_CHARACTERS]


def _bracketed(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else str(host)

# SPDX-License-Identifier: Apache-2.0
"""Options of the REST API."""

import ipaddress

from oslo_config import cfg

from migprog import exception
from migprog.conf import groups
from migprog.conf.listen import Address, parse_listen

KEYSTONE = "keystone"
NOAUTH = "noauth"

GROUP = cfg.OptGroup("api", title="The REST API")

OPTS = [
    cfg.StrOpt(
        "auth_strategy",
        default=KEYSTONE,
        choices=[
            (
                KEYSTONE,
                "a token is needed for everything but /, /v2.1, /healthcheck and "
                "/openapi.json, see [keystone_authtoken]; what it is good for is told by the rules "
                "of [oslo_policy]",
            ),
            (
                NOAUTH,
                "no token is needed; only clients on this machine are answered, and listen "
                "must be a loopback address",
            ),
        ],
        help="Who may ask.",
    ),
    cfg.StrOpt(
        "listen",
        default="127.0.0.1:8790",
        help="ADDRESS:PORT that migprog-api and migprog-standalone listen on; an IPv6 address in "
        "brackets, as in [::1]:8790; port 0 takes a free one. uWSGI and gunicorn have their own "
        "option for it.",
    ),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        max=1024,
        help="Requests that migprog-api and migprog-standalone serve at a time; more wait for "
        "their turn.",
    ),
    cfg.IntOpt(
        "request_timeout",
        default=10,
        min=1,
        max=600,
        help="Seconds within which a request has to be received as a whole by migprog-api and "
        "migprog-standalone; a slower client's connection is closed. No thread waits for it.",
    ),
    cfg.IntOpt(
        "max_connections_per_client",
        default=250,
        min=1,
        max=500,
        help="Connections that one address may have to migprog-api and migprog-standalone at a "
        "time. Of all addresses together there may be 500. For one more the connection is closed "
        "that has been idle for the longest; where none is idle the new one is closed. All clients "
        "of a proxy have its address.",
    ),
    cfg.IntOpt(
        "max_long_polls",
        min=0,
        max=1024,
        help="Requests that may wait for news of a migration at a time, in each process. Without "
        "it: half of the threads of migprog-api and migprog-standalone; none under uWSGI and "
        "gunicorn, where it must be less than the threads of a worker; where that has one alone, "
        "nobody waits.",
    ),
    cfg.StrOpt(
        "metrics_listen",
        sample_default="127.0.0.1:8793",
        help="ADDRESS:PORT where migprog-api serves GET /metrics for Prometheus, without a "
        "password; an IPv6 address in brackets; port 0 takes a free one. Nothing is served where "
        "this is not set. migprog-standalone serves the metrics of all its parts at [conductor] "
        "metrics_listen; for uWSGI and gunicorn the documentation says how.",
    ),
    cfg.BoolOpt(
        "allow_actions",
        default=False,
        help="Take requests to abort a migration and to force it to complete, and hand them to "
        "the agent of its source's host through the broker ([DEFAULT] transport_url), if that "
        "permits it ([compute] allow_actions). While this is off, the API needs no broker and "
        "changes nothing.",
    ),
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        max=10000,
        help="Migrations at most on one page of a list.",
    ),
    cfg.IntOpt(
        "stale_after",
        default=90,
        min=1,
        max=86400,
        help="Seconds after which a migration in progress that its agent told nothing of is shown "
        "as stale. Not less than two or three times [compute] heartbeat_interval.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    groups.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Rules between options. Raises :class:`exception.ConfigError`."""
    check_listen(conf.api.listen, conf.api.auth_strategy)
    metrics_address(conf)


def metrics_address(conf: cfg.ConfigOpts) -> Address | None:
    """Where to serve metrics; None: nowhere. Raises :class:`exception.ConfigError`."""
    value = conf.api.metrics_listen
    return None if value is None else parse_listen(value, "[api] metrics_listen")


def check_listen(listen: str, auth_strategy: str) -> Address:
    """Where to listen, if that may be. Raises :class:`exception.ConfigError`."""
    address = parse_listen(listen, "[api] listen")
    if auth_strategy == NOAUTH and not is_loopback(address.host) and address.host != "localhost":
        raise exception.ConfigError(
            f"[api] listen: {listen!r} must be a loopback address (127.0.0.1:PORT, [::1]:PORT) "
            "as long as [api] auth_strategy is noauth"
        )
    return address


def is_loopback(address: str) -> bool:
    """Tell whether this address can be reached, or comes, from this very machine alone."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A socket for both families shows IPv4 peers so; Python before 3.13 does not look inside.
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback

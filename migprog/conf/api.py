# SPDX-License-Identifier: Apache-2.0
"""Options of the REST API."""

import ipaddress

from oslo_config import cfg

from migprog import exception
from migprog.conf import registration
from migprog.conf.bind import Address, metrics_opts

KEYSTONE = "keystone"
NOAUTH = "noauth"
# Of all clients together, besides those of watchers.
CONNECTIONS = 500

GROUP = cfg.OptGroup("api", title="The REST API")

OPTS = [
    cfg.StrOpt(
        "auth_strategy",
        default=KEYSTONE,
        choices=[
            (
                KEYSTONE,
                "every address except /, /v2.1, /healthcheck, /openapi.json and /ui/ needs a "
                "Keystone token, see [keystone_authtoken]; the rules of [oslo_policy] say what a "
                "token's user may do",
            ),
            (
                NOAUTH,
                "no token is needed; only clients on this machine are answered, and "
                "bind_host must be a loopback address",
            ),
        ],
        help="How clients are authenticated.",
    ),
    cfg.HostAddressOpt(
        "bind_host",
        default="127.0.0.1",
        help="Address of this machine that migprog-api and migprog-standalone listen on. An IPv6 "
        "address is written without brackets. uWSGI and gunicorn have their own option for it.",
    ),
    cfg.PortOpt(
        "bind_port",
        default=8790,
        help="Port that migprog-api and migprog-standalone listen on; 0 takes a free port. uWSGI "
        "and gunicorn have their own option for it.",
    ),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        max=1024,
        help="Number of threads of migprog-api and migprog-standalone, each serving one request at "
        "a time. Further requests wait in a queue.",
    ),
    cfg.IntOpt(
        "request_timeout",
        default=10,
        min=1,
        max=600,
        help="Seconds within which migprog-api and migprog-standalone must have received a whole "
        "request; the connection of a slower client is closed. A slow client occupies no thread.",
    ),
    cfg.IntOpt(
        "max_connections_per_client",
        default=250,
        min=1,
        max=10500,
        help="Maximum number of simultaneous connections from one address to migprog-api and "
        "migprog-standalone. All addresses together may have 500, and max_watchers more. When a "
        "limit is reached, a new connection replaces the one that has been idle for the longest; "
        "if none is idle, the new one is closed. All clients of a proxy count as one address.",
    ),
    cfg.IntOpt(
        "max_long_polls",
        min=0,
        max=1024,
        help="Maximum number of long polls in each process, that is of requests that wait until a "
        "migration changes. If not set: half of the threads of migprog-api and "
        "migprog-standalone, 0 under uWSGI and gunicorn. There it must be less than the number of "
        "threads of a worker; a worker with one thread accepts no long polls.",
    ),
    cfg.IntOpt(
        "max_watchers",
        default=1000,
        min=0,
        max=10000,
        help="Maximum number of watchers of lists in each process, that is of requests that wait "
        "for news of a list of migrations in progress. One user may have a quarter of them. In "
        "migprog-api and migprog-standalone a watcher occupies a connection, but no thread; under "
        "uWSGI and gunicorn each occupies a thread and counts as a long poll (max_long_polls).",
    ),
    cfg.FloatOpt(
        "news_interval",
        default=2.0,
        min=0.1,
        max=60.0,
        help="Seconds between two readings of the migrations in progress while lists are watched: "
        "one query, whatever the number of watchers. News of a list is up to so many seconds old.",
    ),
    *metrics_opts(
        "migprog-api",
        8793,
        " migprog-standalone serves the metrics of all its parts at [conductor] metrics_bind_port; "
        "for uWSGI and gunicorn see the documentation.",
    ),
    cfg.BoolOpt(
        "allow_actions",
        default=False,
        help="Accept requests to abort a migration and to force it to complete, and send them to "
        "the agent of the source host through the broker ([DEFAULT] transport_url), if that agent "
        "permits it ([compute] allow_actions). If false, the API needs no broker and changes "
        "nothing.",
    ),
    cfg.BoolOpt(
        "ui_enabled",
        default=True,
        help="Serve the page at /ui/, in which people look at migrations. It consists of files "
        "without data: what it shows it asks the API for, with the token that its user gives it.",
    ),
    cfg.BoolOpt(
        "ui_password_login",
        default=False,
        help="Let users of the page sign in with a user name and password, which the API passes on "
        "to the Keystone of [keystone_authtoken] auth_url. Neither is stored or logged. If false, "
        "users sign in with a token. Serve the API by TLS before you set it.",
    ),
    cfg.BoolOpt(
        "allow_measurements",
        default=False,
        help="Accept requests to measure a server for a forecast of its migration, and send them "
        "to the agent of its host through the broker, if that agent permits it ([compute] "
        "allow_measurements). Forecasts from what was measured before need neither.",
    ),
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        max=10000,
        help="Maximum number of entries on one page of a list; also the page size of requests "
        "without limit.",
    ),
    cfg.IntOpt(
        "stale_after",
        default=90,
        min=1,
        max=86400,
        help="Seconds without a report after which a migration in progress is shown as stale. Set "
        "it to at least two or three times [compute] heartbeat_interval.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    registration.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules between options. Raises :class:`exception.ConfigError`."""
    bind_address(conf)


def bind_address(conf: cfg.ConfigOpts) -> Address:
    """Return where to listen. Raises :class:`exception.ConfigError` if that is not allowed."""
    host = conf.api.bind_host
    if conf.api.auth_strategy == NOAUTH and not is_loopback(host) and host != "localhost":
        raise exception.ConfigError(
            f"[api] bind_host: {host!r} must be a loopback address (127.0.0.1, ::1) as long as "
            "[api] auth_strategy is noauth"
        )
    return Address(host, conf.api.bind_port)


def is_loopback(address: str) -> bool:
    """Return whether an address can only be reached from, or belong to, this machine."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A dual-stack socket shows IPv4 peers this way; Python before 3.13 does not look inside.
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback

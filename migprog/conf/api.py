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
                "every address except /, /v2.1, /healthcheck and /openapi.json needs a Keystone "
                "token, see [keystone_authtoken]; the rules of [oslo_policy] say what a token's "
                "user may do",
            ),
            (
                NOAUTH,
                "no token is needed; only clients on this machine are answered, and listen "
                "must be a loopback address",
            ),
        ],
        help="How clients are authenticated.",
    ),
    cfg.StrOpt(
        "listen",
        default="127.0.0.1:8790",
        help="ADDRESS:PORT that migprog-api and migprog-standalone listen on. Put an IPv6 address "
        "in brackets, as in [::1]:8790; port 0 takes a free port. uWSGI and gunicorn have their "
        "own option for it.",
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
        max=500,
        help="Maximum number of simultaneous connections from one address to migprog-api and "
        "migprog-standalone. All addresses together may have 500. When a limit is reached, a new "
        "connection replaces the one that has been idle for the longest; if none is idle, the new "
        "one is closed. All clients of a proxy count as one address.",
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
    cfg.StrOpt(
        "metrics_listen",
        sample_default="127.0.0.1:8793",
        help="ADDRESS:PORT where migprog-api serves GET /metrics for Prometheus, without "
        "authentication. Put an IPv6 address in brackets; port 0 takes a free port. If not set, "
        "no metrics are served. migprog-standalone serves the metrics of all its parts at "
        "[conductor] metrics_listen; for uWSGI and gunicorn see the documentation.",
    ),
    cfg.BoolOpt(
        "allow_actions",
        default=False,
        help="Accept requests to abort a migration and to force it to complete, and send them to "
        "the agent of the source host through the broker ([DEFAULT] transport_url), if that agent "
        "permits it ([compute] allow_actions). If false, the API needs no broker and changes "
        "nothing.",
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
    groups.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules between options. Raises :class:`exception.ConfigError`."""
    check_listen(conf.api.listen, conf.api.auth_strategy)
    metrics_address(conf)


def metrics_address(conf: cfg.ConfigOpts) -> Address | None:
    """Return where to serve metrics, None for nowhere. Raises :class:`exception.ConfigError`."""
    value = conf.api.metrics_listen
    return None if value is None else parse_listen(value, "[api] metrics_listen")


def check_listen(listen: str, auth_strategy: str) -> Address:
    """Return where to listen. Raises :class:`exception.ConfigError` if that is not allowed."""
    address = parse_listen(listen, "[api] listen")
    if auth_strategy == NOAUTH and not is_loopback(address.host) and address.host != "localhost":
        raise exception.ConfigError(
            f"[api] listen: {listen!r} must be a loopback address (127.0.0.1:PORT, [::1]:PORT) "
            "as long as [api] auth_strategy is noauth"
        )
    return address


def is_loopback(address: str) -> bool:
    """Return whether an address can only be reached from, or belong to, this machine."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A dual-stack socket shows IPv4 peers this way; Python before 3.13 does not look inside.
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback

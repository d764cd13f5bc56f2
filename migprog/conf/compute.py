# SPDX-License-Identifier: Apache-2.0
"""Options of the agent on a hypervisor."""

from oslo_config import cfg
from oslo_utils import netutils

from migprog import exception
from migprog.conf import groups
from migprog.conf.listen import Address, parse_listen

GROUP = cfg.OptGroup("compute", title="The agent, on each hypervisor")

OPTS = [
    cfg.StrOpt(
        "connection_uri",
        default="qemu:///system",
        help="Where libvirt is reached. The connection is read-only; qemu_events and "
        "allow_actions open read-write ones besides.",
    ),
    cfg.BoolOpt(
        "qemu_events",
        default=True,
        help="Have QEMU's own events told as well: a migration that copies disks is found at "
        "once, and one that was aborted is surely told from one that failed. libvirt tells these "
        "events on a read-write connection only; it is used for nothing else, and where it is "
        "refused the agent does without.",
    ),
    cfg.StrOpt(
        "host",
        max_length=255,
        sample_default="the hypervisor's host name as libvirt tells it",
        help="This compute host's name, as nova-compute's [DEFAULT] host has it.",
    ),
    cfg.HostAddressOpt(
        "my_ip",
        default=netutils.get_my_ipv4(),
        sample_default="the address of the default route's interface",
        help="The address told as dest_host when servers arrive here, as nova-compute's "
        "[DEFAULT] my_ip has it.",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=0.5,
        min=0.05,
        max=60,
        mutable=True,
        help="Seconds between two readings of the job statistics of a migrating server. "
        "A reading takes about 1 ms.",
    ),
    cfg.FloatOpt(
        "report_interval",
        default=10,
        min=0.1,
        max=600,
        mutable=True,
        help="Seconds after which the counters of a migration are reported again. Its percentage "
        "is reported as it moves by two points, by one message a second of this host at most; a "
        "change of status, phase or verdict does not wait. Conductors that answer slowly stretch "
        "both up to heartbeat_interval. Not shorter than poll_interval.",
    ),
    cfg.FloatOpt(
        "heartbeat_interval",
        default=30,
        min=1,
        max=3600,
        mutable=True,
        help="Seconds at most between two reports of a migration, even if nothing changed. "
        "Not shorter than report_interval.",
    ),
    cfg.FloatOpt(
        "scan_interval",
        default=5,
        min=0.5,
        max=600,
        mutable=True,
        help="Seconds between two searches for migrations that libvirt's events did not tell of, "
        "and between two attempts to reach a libvirt that is away.",
    ),
    cfg.FloatOpt(
        "libvirt_timeout",
        default=10,
        min=1,
        max=600,
        mutable=True,
        help="Seconds after which a call to libvirt counts as hung: until it returns there is no "
        "data for its server, and nothing else waits for it.",
    ),
    cfg.FloatOpt(
        "rpc_timeout",
        default=10,
        min=1,
        max=600,
        help="Seconds to wait for the conductor to acknowledge a report before it is sent again.",
    ),
    cfg.BoolOpt(
        "allow_actions",
        default=False,
        help="Let migrations off this host be aborted and forced to complete through the API "
        "([api] allow_actions), by whom its policy allows it. The agent then listens at the "
        "broker, and opens a read-write connection to libvirt for each of these. While this is "
        "off it does neither, and nothing is ever done to a migration.",
    ),
    cfg.StrOpt(
        "metrics_listen",
        sample_default="127.0.0.1:8792",
        help="ADDRESS:PORT where migprog-compute serves GET /metrics for Prometheus, without a "
        "password; an IPv6 address in brackets; port 0 takes a free one. Nothing is served where "
        "this is not set. migprog-standalone serves the metrics of all its parts at [conductor] "
        "metrics_listen.",
    ),
    cfg.StrOpt(
        "state_path",
        default="/var/lib/migprog",
        help="A folder for what must outlive the agent: the migrations that it watches, and how "
        "they ended until a conductor has it. Each connection_uri has a folder of its own in it, "
        "which is made if need be. Nothing is kept where this is empty. migprog-standalone has it "
        "in its --state-path.",
    ),
    cfg.StrOpt(
        "record_path",
        help="A folder for recordings: one file a migration, with all that libvirt told of it, "
        "for migprog-replay. It is made if need be. Nothing is recorded where this is not set.",
    ),
    cfg.IntOpt(
        "record_max_mib",
        default=16,
        min=1,
        max=1024,
        help="MiB at most a recording. An hour takes about 6 MiB at a poll_interval of 0.5; the "
        "fuller a recording is, the fewer readings are written to it.",
    ),
    cfg.IntOpt(
        "record_max_files",
        default=100,
        min=1,
        max=100_000,
        help="Recordings that are kept in record_path; the oldest are removed.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    groups.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Rules between options. Raises :class:`exception.ConfigError`."""
    group = conf.compute
    for longer, shorter in (
        ("report_interval", "poll_interval"),
        ("heartbeat_interval", "report_interval"),
    ):
        if group[longer] < group[shorter]:
            raise exception.ConfigError(
                f"[compute] {longer}: {group[longer]} must not be shorter than "
                f"{shorter} ({group[shorter]})"
            )
    metrics_address(conf)


def metrics_address(conf: cfg.ConfigOpts) -> Address | None:
    """Where to serve metrics; None: nowhere. Raises :class:`exception.ConfigError`."""
    value = conf.compute.metrics_listen
    return None if value is None else parse_listen(value, "[compute] metrics_listen")

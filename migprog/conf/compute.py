# SPDX-License-Identifier: Apache-2.0
"""Options of the agent on a hypervisor."""

from oslo_config import cfg, types
from oslo_utils import netutils

from migprog import exception
from migprog.conf import registration
from migprog.conf.bind import metrics_opts
from migprog.core.measurement import MAX_WINDOWS, WINDOWS_SECONDS

GROUP = cfg.OptGroup("compute", title="The agent, on each hypervisor")

OPTS = [
    cfg.StrOpt(
        "connection_uri",
        default="qemu:///system",
        help="URI of the libvirt to watch. The connection is read-only; qemu_events, allow_actions "
        "and allow_measurements open further, read-write connections.",
    ),
    cfg.BoolOpt(
        "qemu_events",
        default=True,
        help="Subscribe to QEMU's own events: a migration that copies disks is found at once, and "
        "an aborted migration is reliably distinguished from a failed one. libvirt sends these "
        "events on a read-write connection only, which is used for nothing else. If libvirt "
        "refuses it, the agent works without these events.",
    ),
    cfg.StrOpt(
        "host",
        max_length=255,
        sample_default="the hypervisor's host name as libvirt reports it",
        help="Name of this compute host; must equal [DEFAULT] host of its nova-compute.",
    ),
    cfg.HostAddressOpt(
        "my_ip",
        default=netutils.get_my_ipv4(),
        sample_default="the address of the default route's interface",
        help="Address reported as dest_host for servers that arrive here; must equal [DEFAULT] "
        "my_ip of this host's nova-compute.",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=0.5,
        min=0.05,
        max=60,
        mutable=True,
        help="Seconds between two reads of the job statistics of a migrating server. A read takes "
        "about 1 ms. Smaller values make forecasts more precise.",
    ),
    cfg.FloatOpt(
        "report_interval",
        default=20,
        min=0.1,
        max=600,
        mutable=True,
        help="Seconds after which the counters of a migration are reported again. Its percentage "
        "is reported each time it has moved by four points, with at most one message a second from "
        "this host; a change of status, phase or verdict is reported at once. While conductors "
        "respond slowly, the agent lengthens this interval and the pause between messages, up to "
        "heartbeat_interval. Must not be shorter than poll_interval. Smaller values cost more "
        "messages and database writes.",
    ),
    cfg.FloatOpt(
        "heartbeat_interval",
        default=30,
        min=1,
        max=3600,
        mutable=True,
        help="Maximum seconds between two reports of a migration even if nothing changed, and "
        "between two heartbeats of the agent. An agent that misses two heartbeats is shown as "
        "silent. Must not be shorter than report_interval.",
    ),
    cfg.FloatOpt(
        "scan_interval",
        default=5,
        min=0.5,
        max=600,
        mutable=True,
        help="Seconds between two searches for migrations that libvirt sent no event for, and "
        "between two attempts to connect to an unavailable libvirt.",
    ),
    cfg.FloatOpt(
        "libvirt_timeout",
        default=10,
        min=1,
        max=600,
        mutable=True,
        help="Seconds after which a call to libvirt counts as hung. Until it returns there are no "
        "figures of its server; other servers are not affected.",
    ),
    cfg.FloatOpt(
        "rpc_timeout",
        default=10,
        min=1,
        max=600,
        help="Seconds to wait for a conductor's acknowledgement of a report before the report is "
        "sent again.",
    ),
    cfg.BoolOpt(
        "allow_actions",
        default=False,
        help="Permit users whom the API's policy allows it to abort migrations from this host and "
        "to force them to complete ([api] allow_actions). The agent then receives requests from "
        "the broker, and opens a read-write connection to libvirt for each of them. If false, the "
        "agent does neither and never changes a migration.",
    ),
    cfg.BoolOpt(
        "allow_measurements",
        default=False,
        help="Permit measuring how fast servers of this host write to their memory, for forecasts "
        "of migrations that have not begun: when a user asks for it whom the API's policy allows "
        "it ([api] allow_measurements), and in rounds (measure_interval). QEMU then samples 512 "
        "pages for each GiB of the server's memory, twice for each of measure_windows. Each "
        "measurement has a read-write connection to libvirt of its own; one server is measured at "
        "a time, none that migrates. If false, nothing is measured, and nothing is opened for it.",
    ),
    cfg.ListOpt(
        "measure_windows",
        item_type=types.Integer(min=1, max=60),
        default=list(WINDOWS_SECONDS),
        bounds=False,
        help="Seconds of the windows that are measured one after the other, 1 to 60 each, at most "
        "8 of them. Several of the same length show a load that changes. The longest should last "
        "about as long as a server's memory takes to be "
        "transferred: with more memory, or a slower network, add 60.",
    ),
    cfg.FloatOpt(
        "measure_interval",
        default=0,
        min=0,
        max=604_800,
        mutable=True,
        help="Seconds after which each running server of this host is measured again, one at a "
        "time, while none migrates from it; so what is measured is known already when a migration "
        "begins. 0: servers are measured only when a user asks for it. Needs allow_measurements.",
    ),
    *metrics_opts(
        "migprog-compute",
        8792,
        " migprog-standalone serves the metrics of all its parts at [conductor] metrics_bind_port.",
    ),
    cfg.BoolOpt(
        "per_migration_metrics",
        default=False,
        mutable=True,
        help="Serve metrics of each single migration, with the labels node, server_uuid and "
        "migration_uuid, as new as the latest read of libvirt. Each migration adds up to 23 series "
        "to Prometheus while it is in progress; at most 100 migrations of a host have them. If "
        "false, metrics name no server.",
    ),
    cfg.StrOpt(
        "state_path",
        default="/var/lib/migprog",
        help="Directory for state that must survive a restart of the agent: the migrations that it "
        "watches, and their ends until a conductor has acknowledged them. Each connection_uri has "
        "a subdirectory, created if missing. If empty, no state is kept, and unacknowledged "
        "reports are lost when the agent is killed. migprog-standalone uses its --state-path "
        "instead.",
    ),
    cfg.StrOpt(
        "record_path",
        help="Directory for recordings: one file for each migration with everything that libvirt "
        "reported of it, for migprog-replay. It is created if missing. If not set, nothing is "
        "recorded.",
    ),
    cfg.IntOpt(
        "record_max_mib",
        default=16,
        min=1,
        max=1024,
        help="Maximum size of a recording in MiB. An hour takes about 6 MiB at a poll_interval of "
        "0.5 s. As a recording fills up, fewer samples are written to it.",
    ),
    cfg.IntOpt(
        "record_max_files",
        default=100,
        min=1,
        max=100_000,
        help="Maximum number of recordings in record_path; the oldest are removed.",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    registration.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules between options. Raises :class:`exception.ConfigError`."""
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
    if not 0 < len(group.measure_windows) <= MAX_WINDOWS:
        raise exception.ConfigError(
            f"[compute] measure_windows: {group.measure_windows} must be 1 to {MAX_WINDOWS} windows"
        )
    if group.measure_interval and not group.allow_measurements:
        raise exception.ConfigError(
            f"[compute] measure_interval: {group.measure_interval} needs allow_measurements = true"
        )

# SPDX-License-Identifier: Apache-2.0
"""Options of steering: what may be done about a migration that will not end in time."""

import re
import uuid
from collections.abc import Callable, Mapping

from oslo_config import cfg, types

from migprog import exception
from migprog.conf import registration
from migprog.core.steering import policies
from migprog.core.steering.nova_schedule import ABORT, FORCE_COMPLETE, NovaOptions
from migprog.core.steering.policies import Mode, Policies
from migprog.core.steering.requirements import NOVA

GROUP = cfg.OptGroup("steering", title="Steering of migrations, on each hypervisor")

_NOVA = NovaOptions()
_NOVA_HELP = "As [libvirt] {} in nova.conf on this host, for the policy nova."

OPTS = [
    cfg.StrOpt(
        "mode",
        mutable=True,
        default=Mode.ADVISE.value,
        choices=[
            (Mode.OFF.value, "nothing is decided"),
            (
                Mode.ADVISE.value,
                "what the policy would do is part of the migration's record; no migration is "
                "touched",
            ),
            (
                Mode.ENFORCE.value,
                "the agent does it, through the read-write connection of [compute] allow_actions, "
                "which must be true",
            ),
        ],
        help="Whether decisions are made, and carried out. The operator's guide to steering says "
        "how to set nova-compute's options for enforce.",
    ),
    cfg.StrOpt(
        "policy",
        mutable=True,
        default="gentle",
        choices=[
            (NOVA, "says what nova-compute will do next and when, and never acts"),
            ("gentle", "raises the downtime limit to at most 2 s, and aborts hopeless migrations"),
            (
                "finish-by-deadline",
                "does what is needed, up to post-copy and a pause, to end within 120 s for each "
                "GiB of memory and copied disks",
            ),
            ("post-copy", "raises the downtime limit to at most 0.5 s, and then begins post-copy"),
            (policies.NONE, "leaves servers alone"),
        ],
        help="Policy of servers that policy_by_server and policy_by_project do not name.",
    ),
    cfg.Opt(
        "policy_by_project",
        mutable=True,
        type=types.Dict(),
        default={},
        help="Policies of the servers of projects: PROJECT_ID:POLICY, separated by commas. "
        "A server's project is the one in the metadata that Nova writes into libvirt's domain.",
    ),
    cfg.Opt(
        "policy_by_server",
        mutable=True,
        type=types.Dict(),
        default={},
        help="Policies of single servers: SERVER_UUID:POLICY, separated by commas. They prevail "
        "over policy_by_project.",
    ),
    cfg.Opt(
        "requirements",
        mutable=True,
        type=types.Dict(),
        default={},
        help="Changes to the ready-made policies, as POLICY.REQUIREMENT:VALUE, or "
        "REQUIREMENT:VALUE for all of them, separated by commas; for example "
        "gentle.longest_downtime_seconds:1.5, patience_seconds:60, "
        "gentle.may:raise-downtime+abort. The requirements: longest_downtime_seconds, "
        "patience_seconds, deadline_seconds, deadline_seconds_per_gib, hopeless_factor, "
        "post_copy_seconds, longest_pause_seconds, max_bandwidth_bytes_per_second, may.",
    ),
    cfg.ListOpt(
        "nova_config_files",
        default=["/etc/nova/nova.conf", "/etc/nova/nova-compute.conf"],
        help="Configuration files of this host's nova-compute. migprog-status upgrade check reads "
        "those that it may, and warns of options that interfere with mode = enforce.",
    ),
    cfg.IntOpt(
        "live_migration_downtime",
        default=_NOVA.downtime,
        min=100,
        max=2_000_000,
        help=_NOVA_HELP.format("live_migration_downtime") + " Milliseconds.",
    ),
    cfg.IntOpt(
        "live_migration_downtime_steps",
        default=_NOVA.downtime_steps,
        min=3,
        max=1000,
        help=_NOVA_HELP.format("live_migration_downtime_steps"),
    ),
    cfg.IntOpt(
        "live_migration_downtime_delay",
        default=_NOVA.downtime_delay,
        min=3,
        max=1_000_000_000,
        help=_NOVA_HELP.format("live_migration_downtime_delay") + " Seconds for each GiB.",
    ),
    cfg.IntOpt(
        "live_migration_completion_timeout",
        default=_NOVA.completion_timeout,
        min=0,
        max=1_000_000_000,
        help=_NOVA_HELP.format("live_migration_completion_timeout") + " Seconds for each GiB; 0: "
        "none.",
    ),
    cfg.StrOpt(
        "live_migration_timeout_action",
        default=_NOVA.timeout_action,
        choices=[ABORT, FORCE_COMPLETE],
        help=_NOVA_HELP.format("live_migration_timeout_action"),
    ),
    cfg.BoolOpt(
        "live_migration_permit_post_copy",
        default=_NOVA.permit_post_copy,
        help=_NOVA_HELP.format("live_migration_permit_post_copy"),
    ),
    cfg.BoolOpt(
        "live_migration_permit_auto_converge",
        default=_NOVA.permit_auto_converge,
        help=_NOVA_HELP.format("live_migration_permit_auto_converge"),
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    registration.register(conf, GROUP, OPTS)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Check rules between options. Raises :class:`exception.ConfigError`."""
    read(conf)
    if conf.steering.mode == Mode.ENFORCE and not conf.compute.allow_actions:
        raise exception.ConfigError(
            "[steering] mode: enforce needs [compute] allow_actions = true: the agent acts through "
            "its connection"
        )


def read(conf: cfg.ConfigOpts) -> Policies:
    """Return the policies that are configured. Raises :class:`exception.ConfigError`."""
    group = conf.steering
    try:
        ready_made = policies.parse_overrides(group.requirements)
    except ValueError as error:
        raise exception.ConfigError(f"[steering] requirements: {error}") from error
    return Policies(
        default=group.policy,
        by_name={**ready_made, NOVA: _nova(group)},
        by_server=_mapping("policy_by_server", group.policy_by_server, _server_uuid),
        by_project=_mapping("policy_by_project", group.policy_by_project, _project_id),
    )


def _mapping(option: str, values: Mapping[str, str], read: Callable[[str], str]) -> dict[str, str]:
    found = {}
    for key, name in values.items():
        try:
            found[read(key)] = policies.check_name(name)
        except ValueError as error:
            raise exception.ConfigError(f"[steering] {option}: {key}: {error}") from error
    return found


def _server_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be the UUID of a server, not its name") from None


def _project_id(text: str) -> str:
    # Keystone's: mostly a UUID without hyphens, and never a name.
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", text):
        raise ValueError("must be the ID of a project, of 1 to 64 letters, digits, _ and -")
    return text


def _nova(group: cfg.ConfigOpts.GroupAttr) -> NovaOptions:
    return NovaOptions(**{each: group[f"live_migration_{each}"] for each in NovaOptions._fields})

# SPDX-License-Identifier: Apache-2.0
"""``tools/lab``: libvirt hosts on this machine to experiment with, or one migration to watch."""

import argparse
import signal
import sys
import time
from collections.abc import Callable

from lab.hosts import Guest, Lab, LabError, Migration, NovaMetadata
from lab.hosts.migration import Stats

MIB = 2**20


def main() -> None:
    """Run the command. Exit status 1: it failed, with the reason on stderr."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Lab(hosts=tuple(arguments.hosts.split(",")), kvm=arguments.kvm) as lab:
            sys.exit(arguments.run(lab, arguments))
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--kvm", action="store_true", help="use hardware virtualization; default: emulate"
    )
    common.add_argument(
        "--hosts",
        default="lab-a,lab-b",
        metavar="A,B",
        help="names of the hosts; default %(default)s",
    )
    parser = argparse.ArgumentParser(
        prog="tools/lab",
        description="Start libvirt hosts on this machine, each in its own namespaces, and migrate "
        "a guest between them.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", parents=[common], help="start the hosts and wait for Ctrl-C")
    up.set_defaults(run=_up)
    migrate = commands.add_parser(
        "migrate", parents=[common], help="run one migration and print its statistics each second"
    )
    migrate.set_defaults(run=_migrate)
    for name, default, text in (
        ("memory", 128, "memory of the guest in MiB; default %(default)s"),
        ("fill", None, "memory that is not zeros, in MiB; default: three quarters"),
        (
            "working-set",
            32,
            "memory that the guest dirties repeatedly, in MiB; default %(default)s",
        ),
        ("disk", 0, "size of a disk in MiB, which is copied too; default: no disk"),
        ("bandwidth", 25, "bandwidth limit in MiB/s; default %(default)s"),
        ("downtime", None, "downtime limit in ms; default: libvirt's"),
    ):
        migrate.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)
    migrate.add_argument(
        "--dirty-rate",
        type=float,
        default=8.0,
        metavar="N",
        help="dirty rate of the guest in MiB/s; default %(default)g",
    )
    migrate.add_argument("--auto-converge", action="store_true", help="permit auto-converge")
    migrate.add_argument(
        "--post-copy-after",
        type=float,
        metavar="S",
        help="switch to post-copy after S seconds; default: never",
    )
    migrate.add_argument(
        "--abort-after",
        type=float,
        metavar="S",
        help="abort the migration after S seconds; default: never",
    )
    return parser


def _up(lab: Lab, arguments: argparse.Namespace) -> int:
    for host in lab.hosts:
        print(f"{host.name}  {host.uri}", flush=True)
    print("The hosts run until Ctrl-C. Try: virsh -c 'URI' list", file=sys.stderr)
    signal.pause()
    return 0


def _migrate(lab: Lab, arguments: argparse.Namespace) -> int:
    guest = Guest(
        name="guest",
        memory_mib=arguments.memory,
        fill_mib=arguments.memory * 3 // 4 if arguments.fill is None else arguments.fill,
        working_set_mib=arguments.working_set,
        segments=((1000, arguments.dirty_rate),),
        disk_mib=arguments.disk,
        nova=NovaMetadata(server_name="guest"),
    )
    source, destination = lab.hosts[:2]
    migration = lab.migrate(
        lab.start_guest(source, guest),
        source,
        destination,
        bandwidth_mib_s=arguments.bandwidth,
        post_copy=arguments.post_copy_after is not None,
        auto_converge=arguments.auto_converge,
        downtime_ms=arguments.downtime,
    )
    actions = [
        (arguments.post_copy_after, migration.start_post_copy),
        (arguments.abort_after, migration.abort),
    ]
    _follow(migration, [(when, act) for when, act in actions if when is not None])
    outcome = migration.wait()
    print("completed" if outcome.completed else f"failed: {outcome.error}")
    for key, value in (outcome.completed_stats or {}).items():
        print(f"  {key:25} {value}")
    return 0 if outcome.completed or arguments.abort_after is not None else 1


def _follow(migration: Migration, actions: list[tuple[float, Callable[[], None]]]) -> None:
    """Print the statistics each second until the end, and run each action at its second."""
    began = time.monotonic()
    ticks = 0
    while migration.running:
        elapsed = time.monotonic() - began
        for action in [action for action in actions if action[0] <= elapsed]:
            actions.remove(action)
            print(f"{elapsed:6.1f} s  {action[1].__name__}", flush=True)
            action[1]()
        stats = migration.stats()
        if stats and elapsed >= ticks:
            print(f"{elapsed:6.1f} s  {_line(stats)}", flush=True)
            ticks += 1
        time.sleep(0.05)


def _line(stats: Stats) -> str:
    dirty = stats.get("memory_dirty_rate", 0) * stats.get("memory_page_size", 0) / MIB
    return (
        f"iteration {stats.get('memory_iteration', 0):3}"
        f"  memory left {stats.get('memory_remaining', 0) / MIB:7.1f} MiB"
        f"  sent {stats.get('memory_processed', 0) / MIB:7.1f} MiB"
        f"  dirty rate {dirty:6.1f} MiB/s"
        f"  disk left {stats.get('disk_remaining', 0) / MIB:7.1f} MiB"
        f"  throttle {stats.get('auto_converge_throttle', 0)} %"
    )


if __name__ == "__main__":
    main()

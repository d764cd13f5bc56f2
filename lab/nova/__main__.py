# SPDX-License-Identifier: Apache-2.0
"""A real Nova with two compute hosts on this machine, and migprog beside it.

`tools/nova-lab` runs it.
"""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from lab.nova import check, control, environments, show, supervisor
from lab.nova.commands import CommandError
from lab.nova.description import Description

STATE = Path("/var/tmp/migprog-nova-lab")  # short: it has Unix sockets


def main() -> None:
    """Run what the command line asks for; exit status 0 if it went as asked."""
    arguments = _parser().parse_args()
    if arguments.run is not _supervisor:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(arguments.run(arguments))
    except (
        supervisor.SupervisorError,
        control.ControlError,
        CommandError,
        LookupError,
        TimeoutError,
    ) as error:
        sys.exit(f"nova-lab: {error}")
    except (ConnectionError, FileNotFoundError) as error:
        sys.exit(f"nova-lab: no lab is up in {arguments.state} ({error}): tools/nova-lab up")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", type=Path, default=STATE, help="of the lab; a short path (default: %(default)s)"
    )
    installing = argparse.ArgumentParser(add_help=False, parents=[common])
    installing.add_argument(
        "--cache",
        type=Path,
        default=environments.default_cache(),
        help="what is installed is kept here (default: %(default)s)",
    )
    installing.add_argument(
        "--source",
        type=Path,
        default=environments.ROOT,
        help="the checkout of migprog to install (default: this one)",
    )
    parser = argparse.ArgumentParser(
        prog="tools/nova-lab", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str, *parents: argparse.ArgumentParser):
        made = commands.add_parser(name, parents=parents or (common,), help=text)
        made.set_defaults(run=run)
        return made

    command("up", _up, "install what is missing and start everything", installing)
    command("down", _down, "end everything; also after a kill")
    command("status", _status, "what runs")
    env = command("env", _env, "shell lines for the openstack client")
    env.add_argument("user", nargs="?", default="admin", choices=("admin", "demo"))
    service = command("service", _service, "start, stop or kill one of what status names")
    service.add_argument("verb", choices=("start", "stop", "kill"))
    service.add_argument("name")
    libvirtd = command("libvirtd", _libvirtd, "start, stop or kill a host's libvirtd")
    libvirtd.add_argument("verb", choices=("start", "stop", "kill", "hang", "continue"))
    libvirtd.add_argument("host")
    computes = command("computes", _computes, "start both nova-computes anew, with options")
    computes.add_argument("option", nargs="*", metavar="SECTION.NAME=VALUE")
    migprog = command("migprog", _migprog, "install and start migprog anew")
    migprog.add_argument("--source", type=Path, help="the checkout (default: as it is installed)")
    migprog.add_argument("--user", default="root", help="of the agents (migprog: without rights)")
    migprog.add_argument("option", nargs="*", metavar="SECTION.NAME=VALUE")
    migrate = command("migrate", _migrate, "live-migrate one server, and show what is seen of it")
    migrate.add_argument(
        "image", nargs="?", default="steady", help="quiet, steady, busy, disk, small"
    )
    check = command(
        "check", _check, "migrate in every way, and hold migprog against Nova", installing
    )
    check.add_argument("case", nargs="*", help="one of its cases (default: all)")
    check.add_argument("--short", action="store_true", help="two cases alone")
    check.add_argument("--json", type=Path, metavar="FILE", help="write all results to it")
    check.add_argument("--repeat", type=int, default=1, metavar="N", help="each case so often")
    check.add_argument("--keep", action="store_true", help="leave a lab that was started for it")
    command("freeze", _freeze, "write constraints for changed requirements", installing)
    command("supervisor", _supervisor, argparse.SUPPRESS, installing)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    supervisor.up(arguments.state, arguments.cache.resolve(), arguments.source.resolve())
    print("The openstack client:  . <(tools/nova-lab env); openstack server list --all-projects")
    print("To end it:             tools/nova-lab down")
    return 0


def _supervisor(arguments: argparse.Namespace) -> int:
    supervisor.main(arguments.state, arguments.cache, arguments.source)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    supervisor.down(arguments.state)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    states = control.ask(arguments.state, "status")
    for name, state in states.items():
        print(f"{state:5} {name}")
    return 0 if set(states.values()) == {"up"} else 1


def _env(arguments: argparse.Namespace) -> int:
    lab = Description.read(arguments.state)
    for name, value in lab.environment(arguments.user).items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"export PATH={lab.commands}:$PATH")
    return 0


def _service(arguments: argparse.Namespace) -> int:
    if arguments.verb == "kill":
        control.ask(arguments.state, "signal", name=arguments.name, number=9)
    else:
        control.ask(arguments.state, arguments.verb, name=arguments.name)
    return 0


def _libvirtd(arguments: argparse.Namespace) -> int:
    control.ask(arguments.state, "libvirtd", host=arguments.host, verb=arguments.verb)
    return 0


def _computes(arguments: argparse.Namespace) -> int:
    control.ask(arguments.state, "computes", options=arguments.option)
    return 0


def _migprog(arguments: argparse.Namespace) -> int:
    source = arguments.source and str(arguments.source.resolve())
    control.ask(
        arguments.state, "migprog", source=source, options=arguments.option, user=arguments.user
    )
    return 0


def _check(arguments: argparse.Namespace) -> int:
    is_ours = not supervisor.is_up(arguments.state)
    if is_ours:
        supervisor.up(arguments.state, arguments.cache.resolve(), arguments.source.resolve())
    try:
        return check.run(
            arguments.state, arguments.case, arguments.short, arguments.json, arguments.repeat
        )
    finally:
        if is_ours and not arguments.keep:
            supervisor.down(arguments.state)


def _migrate(arguments: argparse.Namespace) -> int:
    show.migrate(arguments.state, arguments.image)
    return 0


def _freeze(arguments: argparse.Namespace) -> int:
    environments.freeze(arguments.cache)
    return 0


if __name__ == "__main__":
    main()

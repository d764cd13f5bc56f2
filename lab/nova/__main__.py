# SPDX-License-Identifier: Apache-2.0
"""``tools/nova-lab``: a real Nova with two compute hosts on this machine, and migprog beside it."""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from lab.nova import check, control, environments, show, supervisor
from lab.nova.description import Description
from lab.nova.subprocesses import CommandError

STATE = Path("/var/tmp/migprog-nova-lab")  # short: it has Unix sockets


def main() -> None:
    """Run the command. Exit status 1: it failed, with the reason on stderr."""
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
        "--state",
        type=Path,
        default=STATE,
        metavar="DIR",
        help="directory of the lab; the path must be short; default %(default)s",
    )
    installing = argparse.ArgumentParser(add_help=False, parents=[common])
    installing.add_argument(
        "--cache",
        type=Path,
        default=environments.default_cache(),
        metavar="DIR",
        help="directory of what is installed, which later labs use again; default %(default)s",
    )
    installing.add_argument(
        "--source",
        type=Path,
        default=environments.ROOT,
        metavar="DIR",
        help="checkout of migprog to install; default: this one",
    )
    parser = argparse.ArgumentParser(
        prog="tools/nova-lab",
        description="Start a real Nova with two compute hosts on this machine, and migprog beside "
        "it; migrate servers, and compare migprog's records with Nova's.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str, *parents: argparse.ArgumentParser):
        made = commands.add_parser(name, parents=parents or (common,), help=text)
        made.set_defaults(run=run)
        return made

    command("up", _up, "install what is missing and start the lab", installing)
    command("down", _down, "stop the lab, also after its supervisor was killed")
    command("status", _status, "list the services and whether they run")
    env = command("env", _env, "print the environment for the openstack client, for a shell")
    env.add_argument("user", nargs="?", default="admin", choices=("admin", "demo"))
    service = command("service", _service, "start, stop or kill a service")
    service.add_argument("verb", choices=("start", "stop", "kill"))
    service.add_argument("name", help="name of the service, as status lists it")
    libvirtd = command("libvirtd", _libvirtd, "start, stop or kill a host's libvirtd")
    libvirtd.add_argument("verb", choices=("start", "stop", "kill", "hang", "continue"))
    libvirtd.add_argument("host", help="host-a or host-b")
    computes = command("computes", _computes, "restart both nova-computes, with options")
    _add_options(computes)
    migprog = command("migprog", _migprog, "install migprog again and restart it")
    migprog.add_argument(
        "--source", type=Path, metavar="DIR", help="checkout of migprog; default: the installed one"
    )
    migprog.add_argument(
        "--user",
        default="root",
        help="user that runs the agents; default root; migprog: one without rights at libvirt",
    )
    _add_options(migprog)
    migrate = command("migrate", _migrate, "live-migrate one server, and print its progress")
    migrate.add_argument(
        "image",
        nargs="?",
        default="steady",
        help="guest: quiet, steady, busy, disk or small; default %(default)s",
    )
    check = command(
        "check", _check, "run live migrations of each kind and compare the records", installing
    )
    check.add_argument("case", nargs="*", help="name of a case; default: all cases")
    check.add_argument("--short", action="store_true", help="run two cases only")
    check.add_argument("--json", type=Path, metavar="FILE", help="write all results to this file")
    check.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="run each case N times; default 1"
    )
    check.add_argument(
        "--keep", action="store_true", help="do not stop a lab that was started for the check"
    )
    command("freeze", _freeze, "write the constraints file after a requirement changed", installing)
    # The process that owns the lab: started by "up", and not listed.
    supervised = commands.add_parser("supervisor", parents=[installing])
    supervised.set_defaults(run=_supervisor)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "option", nargs="*", metavar="SECTION.NAME=VALUE", help="option of its configuration file"
    )


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

# SPDX-License-Identifier: Apache-2.0
"""``migprog-replay``: print the assessments of recorded migrations, or measure their accuracy.

It needs no libvirt, broker or configuration.
"""

import argparse
import dataclasses
import functools
import os
import sys
from collections.abc import Iterator, Sequence

from migprog import exception
from migprog.cmd import replay_lines
from migprog.cmd.replay_lines import Play, Read
from migprog.core.schedule import Rules
from migprog.core.steering import policies
from migprog.core.steering.nova_schedule import NovaOptions
from migprog.core.steering.policies import Policy
from migprog.core.steering.requirements import NOVA, POLICIES, POLICY_NAMES
from migprog.recording import format, plot, steering_replay
from migprog.recording.ground_truth import truth
from migprog.recording.replay import replay
from migprog.version import RELEASE


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="migprog-replay",
        description="Run recorded migrations through the code that assesses live ones, and print "
        "the assessment at each sample.",
    )
    parser.add_argument("--version", action="version", version=RELEASE)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a recording, compressed with gzip or not"
    )
    parser.add_argument(
        "--format",
        choices=("table", "json"),
        default="table",
        help="json: one object a line, with --score one document; default %(default)s",
    )
    parser.add_argument(
        "--policy",
        choices=(*POLICY_NAMES, policies.NONE),
        help="print what this policy of steering would have done instead; with --score, whether "
        "that was needless, or missed",
    )
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="REQUIREMENT=VALUE",
        help="change a requirement of the policy, as [steering] requirements, with the policy's "
        "name before it or not; may be repeated",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--score",
        action="store_true",
        help="compare the assessments with how the migrations really went",
    )
    what.add_argument(
        "--before",
        action="store_true",
        help="print what would have been said before the migration began, and whether it came "
        "true; of recordings that have a measurement",
    )
    what.add_argument(
        "--plot", metavar="FILE.png", help="draw the assessments of one recording; needs matplotlib"
    )
    for name, default in (("report", 20.0), ("heartbeat", 30.0)):
        parser.add_argument(
            f"--{name}-interval",
            type=float,
            default=default,
            metavar="SECONDS",
            help=f"as [compute] {name}_interval; default %(default)g",
        )
    parser.add_argument(
        "--completion-time",
        type=float,
        metavar="SECONDS",
        help="seconds that earlier migrations between the same hosts took from the switchover to "
        "the end, as the agent learns it; default: that of the recording, or a guess",
    )
    parser.add_argument(
        "--max-mib",
        type=int,
        default=format.MAX_BYTES // 2**20,
        help="maximum size of an unpacked recording in MiB, see [compute] record_max_mib; reading "
        "takes about ten times as much memory; default %(default)d",
    )
    arguments = parser.parse_args(argv)
    if arguments.plot and len(arguments.files) > 1:
        parser.error("--plot draws one recording")
    if arguments.plot and arguments.policy:
        parser.error("--plot does not draw the decisions of a policy")
    if arguments.before and arguments.policy:
        parser.error("--before has no policy: nothing has begun")
    if arguments.require and arguments.policy in (None, NOVA, policies.NONE):
        parser.error("--require changes a policy other than nova and none: see --policy")
    arguments.policy_name = arguments.policy
    try:
        arguments.policy = _policy(arguments.policy, arguments.require)
    except ValueError as error:
        parser.error(f"--require: {error}")
    return arguments


def _policy(name: str | None, required: Sequence[str]) -> Policy | None:
    """Return the policy with what is required. Raises :class:`ValueError`."""
    if name is None or name == NOVA:
        return None if name is None else NovaOptions()
    if name == policies.NONE:
        return dataclasses.replace(POLICIES["gentle"], may=frozenset())
    overrides: dict[str, str] = {}
    for text in required:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} must be REQUIREMENT=VALUE")
        of, dot, field = key.rpartition(".")
        if dot and of != name:
            raise ValueError(f"{key}: {of!r} must be the policy that --policy names, {name}")
        if f"{name}.{field}" in overrides:
            raise ValueError(f"{field}: must not be given twice")
        overrides[f"{name}.{field}"] = value
    return policies.parse_overrides(overrides)[name]


def _draw(picture: str, file: str, read: Read, play: Play) -> None:
    recorded = read(file)
    plot.draw(picture, recorded, play(recorded), truth(recorded))


def _lines(arguments: argparse.Namespace, read: Read, play: Play, rules: Rules) -> Iterator[str]:
    files, form, policy = arguments.files, arguments.format, arguments.policy
    if arguments.before:
        return replay_lines.before(files, read, form)
    if policy is None:
        work = replay_lines.accuracy if arguments.score else replay_lines.assessments
        return work(files, read, play, form)
    steer = functools.partial(steering_replay.steered, policy=policy, rules=rules)
    if arguments.score:
        return replay_lines.decisions_scored(files, read, steer, policy, form)
    return replay_lines.decisions(files, read, steer, arguments.policy_name, form)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1: failed, with the reason on stderr; 2: bad arguments, or not a recording."""
    arguments = _arguments(argv)
    rules = Rules(arguments.report_interval, arguments.heartbeat_interval)
    play = functools.partial(replay, rules=rules, completion_time_seconds=arguments.completion_time)
    read = functools.partial(format.read, max_bytes=arguments.max_mib * 2**20)
    try:
        if arguments.plot:
            _draw(arguments.plot, arguments.files[0], read, play)
            return 0
        for line in _lines(arguments, read, play, rules):
            print(line)
        sys.stdout.flush()
    except format.NotARecording as error:
        print(f"migprog-replay: {error}", file=sys.stderr)
        return 2
    except exception.MigprogError as error:
        print(f"migprog-replay: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # Otherwise Python tries to flush again at exit, and prints an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"migprog-replay: cannot write: {error.strerror}", file=sys.stderr)
            return 1
        # The reader closed the pipe, as head(1) does.
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

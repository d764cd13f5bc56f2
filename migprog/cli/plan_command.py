# SPDX-License-Identifier: Apache-2.0
"""The command ``plan``, as a mixin for cliff's: see :mod:`migprog.cli.commands`."""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any
from urllib import parse

from cliff.formatters import base as formatters

from migprog.cli import measurement_wait, options, plan, text
from migprog.cli.client import Client
from migprog.cli.columns import Table
from migprog.cli.commands import Base
from migprog.cli.errors import ApiUnavailable, ClientError

_OPENSTACK = "openstack"
_ASKED = (
    *("at_once", "network_bytes_per_second", "downtime_limit_seconds", "deadline"),
    *("block_migration", "auto_converge"),
)
# Between two lines while nothing but the time changes.
_QUIET_SECONDS = 60.0


class _Shell(formatters.ListFormatter):
    """Prints the lines of a shell. ``shown``: the plan; the command sets it."""

    shown: plan.Plan | None = None

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        pass

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: Any,
        parsed_args: argparse.Namespace,
    ) -> None:
        assert self.shown is not None
        for line in plan.shell(self.shown):
            stdout.write(text.encodable(line, stdout.encoding or "utf-8") + "\n")


_ENTRY = metadata.EntryPoint(_OPENSTACK, f"{__name__}:_Shell", "cliff.formatter.list")


class Plan(Base):
    """Plan the drain of a host: which server moves when, which does not without help, when the
    host is empty. While servers migrate from it, show how that goes."""

    _shell: _Shell

    # Moves are in an order that means something.
    need_sort_by_cliff = False

    def _load_formatter_plugins(self) -> Any:
        found = super()._load_formatter_plugins()  # type: ignore[misc]
        self._shell = _Shell()
        # The class is stevedore's, which is cliff's requirement and not ours.
        extension = type(found.extensions[0])
        found.extensions.append(extension(_OPENSTACK, _ENTRY, _Shell, self._shell))
        return found

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)  # type: ignore[misc]
        options.add_plan(parser)
        return parser

    def take_action(self, given: argparse.Namespace) -> Table:
        asked = options.only_given({name: getattr(given, name) for name in _ASKED})
        destinations = given.dest or []
        if given.measure:
            body = asked | ({"destinations": destinations} if destinations else {})
            found = measured(self.client, given.host, body, self.say, given.timeout)
        else:
            query = {name: _text(value) for name, value in asked.items()}
            query |= {"destinations": ",".join(destinations)} if destinations else {}
            query |= options.only_given({"made_at": given.made_at})
            found = self.client.drain_plan(given.host, query)
        if given.follow:
            found = follow(self.client, found, given.interval, self.say)
        self._shell.shown = found
        if given.formatter != _OPENSTACK:
            self.say(found["message"])
        return plan.table(found, given.long)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def measured(
    client: Client,
    host: str,
    body: dict[str, Any],
    say: Callable[[str], None],
    timeout_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> plan.Plan:
    """Return the plan of a host once its servers have been measured.

    Raises :class:`errors.ClientError` if that takes longer than ``timeout_seconds``.
    """
    return measurement_wait.wait(
        client,
        lambda: client.measure_host(host, body),
        (f"the servers of host {host} have", "they"),
        lambda: say(measurement_wait.of_host(host, _servers(client, host))),
        *(timeout_seconds, sleep, clock),
    )


def _servers(client: Client, host: str) -> int | None:
    """Return how many servers run on a host; None if that is not known."""
    with contextlib.suppress(ClientError):
        found: int | None = client.drain(host).get("servers")
        return found
    return None


def follow(
    client: Client,
    found: plan.Plan,
    interval_seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> plan.Plan:
    """Say how a drain goes until it is done; return its plan as it is then. While the API is not
    available, it is asked again."""
    (link,) = (each["href"] for each in found["links"] if each["rel"] == "self")
    query = dict(parse.parse_qsl(parse.urlsplit(link).query))
    said, said_at = None, clock()
    while True:
        now = clock()
        if plan.counts(found) != said or now - said_at >= _QUIET_SECONDS:
            say(found["message"])
            said, said_at = plan.counts(found), now
        if found["state"] == "done":
            return found
        sleep(interval_seconds)
        try:
            found = client.drain_plan(found["host"], query)
        except ApiUnavailable as error:
            say(str(error))

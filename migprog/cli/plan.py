# SPDX-License-Identifier: Apache-2.0
"""The plan of a drain as a table, and as the lines of a shell. Pure: the API's document in."""

import shlex
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, TypeAlias

from migprog.cli import columns, text
from migprog.cli.columns import Cell, Table

Plan: TypeAlias = Mapping[str, Any]
# Nova validates the host that is named since then.
_NOVA_MICROVERSION = "2.30"
_TO_GO = ("waiting", "failed")


def _of(kind: Any, key: str) -> Cell:
    return lambda each, _now: kind(each.get(key))


COLUMNS: dict[str, Cell] = {
    "Server UUID": _of(columns.Word, "server_uuid"),
    "Server": _of(columns.Word, "server_name"),
    "State": _of(columns.Word, "state"),
    "Beside": _of(columns.Word, "beside"),
    "Starts": _of(columns.Seconds, "starts_seconds"),
    "Ends": _of(columns.Seconds, "ends_seconds"),
    "Destination": _of(columns.Word, "dest_compute"),
    "Converges": _of(columns.Word, "converges"),
    "Message": _of(columns.Word, "message"),
}
LONG: dict[str, Cell] = {
    "Alone": _of(columns.Seconds, "alone_seconds"),
    "Alone Low": _of(columns.Seconds, "alone_low_seconds"),
    "Alone High": _of(columns.Seconds, "alone_high_seconds"),
    "Measured At": _of(columns.Word, "measured_at"),
    "Helps": _of(columns.Lines, "helps"),
    "Downtime Needed": _of(columns.Seconds, "downtime_needed_seconds"),
    "Bandwidth Needed": _of(columns.Rate, "bandwidth_needed_bytes_per_second"),
}


def table(plan: Plan, is_long: bool) -> Table:
    """Return a row for each server: first those that move, in their order."""
    rows = [*plan["moves"], *plan["stays"]]
    rows += [{**each, "state": each["reason"]} for each in plan["unplanned"]]
    return columns.table(COLUMNS | LONG if is_long else COLUMNS, rows, 0.0)


def counts(plan: Plan) -> tuple[int, ...]:
    """Return how many servers of the plan are in each state, which changes as it goes on."""
    states = [each["state"] for each in plan["moves"]]
    return tuple(map(states.count, ("done", "running", "failed", "gone")))


def shell(plan: Plan) -> Iterator[str]:
    """Yield lines for bash (4.3 or later) that move what is still to go.

    No more run at once than the plan has beside each: which of those that were started still run is
    not known beforehand, so the least of them counts until all have ended.
    """
    yield f"# host {text.printable(plan['host'])}: {text.printable(plan['message'])}"
    limit_seconds = plan.get("downtime_limit_seconds")
    if limit_seconds is not None:
        yield f"# for a downtime limit of {limit_seconds:g} s ([libvirt] live_migration_downtime)"
    running, least = 0, 0
    moves = [each for each in plan["moves"] if each["state"] in _TO_GO]
    for move, following in zip_longest(moves, moves[1:]):
        most = min(move["beside"], least) if running else move["beside"]
        if most <= 1 and running:
            yield "wait"
            running = 0
        while running and running >= most:
            yield "wait -n"
            running -= 1
        least = most if running else move["beside"]
        # Alone: nothing else is to be started meanwhile.
        is_alone = not running and (following is None or move["beside"] <= 1)
        yield _command(plan, move) + ("" if is_alone else " &") + _name(move)
        running += not is_alone
    if running:
        yield "wait"
    for name, entries in (("does not move without help", "stays"), ("not planned", "unplanned")):
        for each in plan[entries]:
            if each.get("state", "stays") == "stays":
                yield f"# {each['server_uuid']}{_name(each)}: {name}: " + text.printable(
                    each["message"]
                )


def _command(plan: Plan, move: Mapping[str, Any]) -> str:
    words = ["openstack", "--os-compute-api-version", _NOVA_MICROVERSION]
    words += ["server", "migrate", "--live-migration", "--wait"]
    if move["dest_compute"] is not None:
        words += ["--host", move["dest_compute"]]
    if plan["block_migration"]:
        words.append("--block-migration")
    return shlex.join([*words, move["server_uuid"]])


def _name(entry: Mapping[str, Any]) -> str:
    name = entry.get("server_name")
    return "" if not name else f"  # {text.printable(name)}"

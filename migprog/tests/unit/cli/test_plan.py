# SPDX-License-Identifier: Apache-2.0
"""The plan of a drain as a shell runs it, and how it is followed."""

import argparse
import itertools
import pathlib
import subprocess
from typing import Any

import pytest

from migprog.cli import measurement_wait, options, plan, plan_command
from migprog.cli.client import Later
from migprog.cli.errors import ApiUnavailable, ClientError

_LINK = "http://elsewhere/prefix/hosts/h/drain-plan?made_at=2026-09-01T12%3A00%3A00Z&at_once=2"


def move(number: int, beside: int = 1, state: str = "waiting", **values: Any) -> dict[str, Any]:
    known = {
        "server_uuid": f"00000000-0000-0000-0000-{number:012}",
        "server_name": f"web-{number}",
        "state": state,
        "beside": beside,
        "dest_compute": None,
        "message": "said",
        "starts_seconds": 0.0,
        "ends_seconds": 9.0,
    }
    return known | values


def made(*moves: dict[str, Any], **values: Any) -> dict[str, Any]:
    known = {
        "host": "h",
        "state": "planned",
        "message": "2 servers in 9 s",
        "block_migration": False,
        "moves": list(moves),
        "stays": [],
        "unplanned": [],
        "links": [{"rel": "self", "href": _LINK}],
    }
    return known | values


def run(tmp_path: pathlib.Path, shown: dict[str, Any], seconds: str = "0.3") -> list[list[str]]:
    """Run the lines with a client that takes so long; give its calls, and how many ran then."""
    (tmp_path / "openstack").write_text(
        "#!/bin/bash\n"
        f'cd {tmp_path}; touch "run.$$"; running=(run.*)\n'
        f'printf \'%s\\0\' "${{#running[@]}}" "$@" > call.$$; sleep {seconds}; rm run.$$\n'
    )
    (tmp_path / "openstack").chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-e"],
        input="\n".join(plan.shell(shown)),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    return [path.read_bytes().decode().split("\0")[:-1] for path in tmp_path.glob("call.*")]


def test_lines_of_one_at_a_time_are_commands_alone() -> None:
    lines = list(plan.shell(made(move(1, dest_compute="b c"), move(2), block_migration=True)))
    begin = "openstack --os-compute-api-version 2.30 server migrate --live-migration --wait"
    assert lines == [
        "# host h: 2 servers in 9 s",
        f"{begin} --host 'b c' --block-migration 00000000-0000-0000-0000-000000000001  # web-1",
        f"{begin} --block-migration 00000000-0000-0000-0000-000000000002  # web-2",
    ]


@pytest.mark.parametrize(
    "beside", [(3, 3, 3, 1, 1), (1, 3, 3, 3), (2, 3, 3), (3, 2, 2, 1, 2), (2, 2)]
)
def test_no_more_run_at_once_than_the_plan_has_beside_each(
    tmp_path: pathlib.Path, beside: tuple[int, ...]
) -> None:
    moves = [move(number, each) for number, each in enumerate(beside)]
    calls = run(tmp_path, made(*moves))
    by_server = {call[-1]: int(call[0]) for call in calls}
    assert by_server.keys() == {each["server_uuid"] for each in moves}
    for each in moves:
        assert by_server[each["server_uuid"]] <= each["beside"]
    assert any(" &" in line for line in plan.shell(made(*moves))), "some run beside each other"


def test_names_are_text_to_a_shell(tmp_path: pathlib.Path) -> None:
    evil = "$(touch gone); `touch gone`\ntouch gone; '\"&|\r\u2028touch gone\u202e"
    stay = move(3, state="stays", server_name=evil, message=evil)
    lost = {"server_uuid": "x", "server_name": evil, "reason": "not-measured", "message": evil}
    shown = made(
        move(1, dest_compute=evil, server_name=evil),
        move(2, 2, dest_compute=evil, server_name=evil),
        message=evil,
        host=evil,
        stays=[stay],
        unplanned=[lost],
    )
    calls = run(tmp_path, shown)
    # The host, where it is a word of a command, is that whole word.
    assert [call[call.index("--host") + 1] for call in calls] == [evil] * 2
    assert not list(tmp_path.glob("gone*"))


def test_what_has_moved_is_not_moved_again_and_what_stays_is_said() -> None:
    stay = move(3, state="stays", message="does not converge")
    shown = made(
        *(move(number, state=state) for number, state in enumerate(("done", "running", "gone"))),
        move(7, state="failed"),
        stays=[stay, move(4, state="done")],
        unplanned=[{"server_uuid": "u", "server_name": None, "reason": "r", "message": "why"}],
    )
    commands = [line for line in plan.shell(shown) if not line.startswith("#")]
    assert [line.split()[7] for line in commands] == ["00000000-0000-0000-0000-000000000007"]
    said = [line for line in plan.shell(shown) if line.startswith("#")][1:]
    assert said == [
        "# 00000000-0000-0000-0000-000000000003  # web-3: does not move without help: "
        "does not converge",
        "# u: not planned: why",
    ]


@pytest.mark.parametrize("moves", [[], [move(1, state="done")], [move(1, state="running")]])
def test_what_is_not_planned_is_said_where_nothing_moves(moves: list[dict[str, Any]]) -> None:
    stay = move(3, state="stays", message="does not converge")
    lost = {"server_uuid": "u", "server_name": None, "reason": "not-measured", "message": "why"}
    shown = made(*moves, stays=[stay], unplanned=[lost], message="no server can be planned")
    assert list(plan.shell(shown)) == [
        "# host h: no server can be planned",
        f"# {stay['server_uuid']}  # web-3: does not move without help: does not converge",
        "# u: not planned: why",
    ]
    assert len(list(plan.shell(made(*moves)))) == 1


def test_table_has_a_row_for_each_server() -> None:
    lost = {"server_uuid": "u", "server_name": None, "reason": "not-measured", "message": "why"}
    shown = made(move(1), stays=[move(2, state="stays")], unplanned=[lost])
    names, rows = plan.table(shown, is_long=False)
    states = [row[names.index("State")].machine_readable() for row in rows]
    assert states == ["waiting", "stays", "not-measured"]
    assert len(plan.table(shown, is_long=True)[0]) > len(names)


class Api:
    """Gives these plans, one after the other, and notes what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.asked: list[Any] = []

    def _next(self, *asked: Any) -> Any:
        self.asked.append(asked)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def drain_plan(self, host: str, query: Any) -> Any:
        return self._next(host, query)

    def measure_host(self, host: str, asked: Any) -> Any:
        return self._next(host, asked)

    def drain(self, host: str) -> Any:
        return {"host": host, "servers": 8}

    def follow(self, later: Later) -> Any:
        return self._next(later)


def test_drain_is_followed_until_it_is_done_whatever_the_api_does() -> None:
    def at(states: str, state: str = "running") -> dict[str, Any]:
        words = {"d": "done", "r": "running", "w": "waiting"}
        moves = [move(number, state=words[each]) for number, each in enumerate(states)]
        return made(*moves, state=state, message=states)

    api = Api(at("rw"), ApiUnavailable("away"), at("rw"), at("dr"), at("dr"), at("dd", "done"))
    said: list[str] = []
    clock = itertools.count(0.0, 1.0).__next__
    found = plan_command.follow(
        api,
        at("ww", "planned"),
        5.0,
        said.append,
        lambda _seconds: None,
        clock,
    )
    assert found["message"] == "dd"
    assert said == ["ww", "rw", "away", "dr", "dd"]
    assert set(map(str, api.asked)) == {
        "('h', {'made_at': '2026-09-01T12:00:00Z', 'at_once': '2'})"
    }


def test_measurements_are_waited_for_and_not_for_ever() -> None:
    later = Later("/p", 3.0, "drain_plan")
    slept: list[float] = []
    api: Any = Api(later, later, made())
    said: list[str] = []
    found = plan_command.measured(api, "h", {"at_once": 1}, said.append, 60.0, slept.append)
    assert said == [measurement_wait.of_host("h", 8)]
    assert (found, slept, api.asked[0]) == (made(), [3.0, 3.0], ("h", {"at_once": 1}))
    now = iter(range(0, 1000, 20))
    api = Api(*[later] * 9)
    with pytest.raises(ClientError, match="have not been measured within 60 s"):
        plan_command.measured(
            *(api, "h", {}, said.append, 60.0),
            lambda _seconds: None,
            lambda: float(next(now)),
        )


def test_it_is_said_how_many_are_measured_and_how_long_that_takes() -> None:
    assert measurement_wait.of_host("h", 8).endswith(": 8 take about 4 min 00 s")
    assert measurement_wait.of_host("h", 1).endswith(": 1 takes about 30 s")
    assert "how many run there is not known" in measurement_wait.of_host("h", None)
    said: list[str] = []
    api: Any = Api(Later("/p", 3.0, "drain_plan"), made())
    api.drain = lambda _host: Api(ApiUnavailable("away")).drain_plan("h", {})
    plan_command.measured(api, "h", {}, said.append, 60.0, lambda _seconds: None)
    assert said == [measurement_wait.of_host("h", None)]
    refused: Any = Api(ClientError("disabled"))
    with pytest.raises(ClientError, match="disabled"):
        plan_command.measured(refused, "h", {}, said.append, 60.0)
    assert len(said) == 1, "nothing is measured"


@pytest.mark.parametrize("words", [[""], ["h", "--dest", ""], ["h", "--deadline", " "]])
def test_empty_names_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    options.add_plan(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert "must not be empty" in capsys.readouterr().err

# SPDX-License-Identifier: Apache-2.0
"""Commands are found by their whole names."""

import pytest

from migprog.cli import app

NAMES = app.CommandNames(None)
for _name, _command in app.COMMANDS.items():
    NAMES.add_command(_name, _command)


@pytest.mark.parametrize("name", app.COMMANDS)
def test_command_is_found_by_its_whole_name_alone(name: str) -> None:
    assert NAMES.find_command([name, "x"]) == (app.COMMANDS[name], name, ["x"])
    with pytest.raises(ValueError, match="Unknown command"):
        NAMES.find_command([name[:-1], "x"])


def test_wait_for_a_host_is_named_as_in_openstackclient_too() -> None:
    found = (app.WaitHost, "wait-host", ["lab-a", "--timeout", "1"])
    assert NAMES.find_command(["wait", "host", "lab-a", "--timeout", "1"]) == found
    for words in (["wait"], ["wait", "lab-a"], ["wait-host-x"], []):
        with pytest.raises(ValueError, match="Unknown command"):
            NAMES.find_command(words)

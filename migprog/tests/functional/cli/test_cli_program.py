# SPDX-License-Identifier: Apache-2.0
"""``migprog`` as installed, without an API: completion, help, an address where nothing listens."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from lab.parts import processes
from migprog.tests.functional.cli.commands import run
from migprog.tests.functional.cli.terminal import PROGRAM

pytestmark = pytest.mark.functional

# The program, with a default address at which nothing listens.
_ELSEWHERE = """
import sys
from migprog.cli import app
app.DEFAULT_URL = "http://127.0.0.1:{port}"
sys.exit(app.main(["list"]))
"""


def test_completion_knows_commands_and_options(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "completion"
    script.write_text(
        subprocess.run([PROGRAM, "complete"], capture_output=True, text=True, check=True).stdout
    )

    def completed(*words: str) -> set[str]:
        # bash-completion's own function, for words without colons.
        stub = '_get_comp_words_by_ref() { cur=${@: -1}; cur=${GIVEN[-1]}; words=("${GIVEN[@]}"); }'
        given = " ".join(f"'{word}'" for word in words)
        done = subprocess.run(
            [
                "bash",
                "-c",
                f'{stub}; . {script}; GIVEN=({given}); _migprog; echo "${{COMPREPLY[@]}}"',
            ],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ,
        )
        return set(done.stdout.split())

    assert completed("migprog", "wa") == {"watch", "wait-host"}
    assert {"--until-done", "--timeout"} <= completed("migprog", "watch", "--")
    assert {"--sort", "--long", "--host"} <= completed("migprog", "list", "--")


def test_help_is_shown_without_a_command() -> None:
    done = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "wait-host" in done.stdout


def test_api_that_is_not_there_is_an_error() -> None:
    (port,) = processes.free_ports(1)
    for command in (["list"], ["watch"], ["wait-host", "compute-1"]):
        done = run(f"http://127.0.0.1:{port}", *command, code=1)
        assert re.fullmatch(
            rf"Unable to establish connection to http://127.0.0.1:{port}/\S+: Connection refused\n",
            done.stderr,
        )


def test_unset_address_is_an_error_that_says_so() -> None:
    given = {name: value for name, value in os.environ.items() if not name.startswith("MIGPROG_")}
    # Nothing but an API of this machine listens there.
    done = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE.format(port=processes.free_ports(1)[0])],
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith(
        ": Connection refused\nno address was given: use --url, or --os-cloud to log in\n"
    )

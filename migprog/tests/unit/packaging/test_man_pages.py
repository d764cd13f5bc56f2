# SPDX-License-Identifier: Apache-2.0
"""The manual pages and completions of the repository are those of the commands as they are."""

import pathlib
import re
import subprocess

import pytest

from lab.man_pages import __main__ as manual

_ETC = manual.ROOT / "etc"
_PAGES = sorted((_ETC / "man").glob("*/*"))
# What bash offers for a line: the completions of its last word.
_COMPLETE = """
source /dev/stdin <<<"$COMPLETION"
COMP_WORDS=($LINE "")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE="$LINE " COMP_POINT=$((${#LINE} + 1))
function=$(complete -p "${COMP_WORDS[0]}")
function=${function#*-F }
${function%% *} "${COMP_WORDS[0]}" "" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"""


def _files(directory: pathlib.Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for folder in ("man", "bash-completion")
        for path in (directory / folder).rglob("*")
        if path.is_file()
    }


_FEW = ("man/man8/migprog-compute.8", "man/man1/migprog-list.1", "bash-completion/migprog-manage")


@pytest.mark.parametrize("only", [_FEW, pytest.param((), marks=pytest.mark.long)])
def test_pages_and_completions_are_current(only, tmp_path):
    manual.write(tmp_path, only)
    written, there = _files(tmp_path), _files(_ETC)
    if only:
        there = {name: there[name] for name in only}
    different = [name for name in written | there if written.get(name) != there.get(name)]
    if different:
        pytest.fail(
            f"{', '.join(different)}: to write them, run tools/build-man-pages", pytrace=False
        )


def test_each_command_has_a_page_and_a_completion():
    pages = {path.stem for path in _PAGES}
    completions = {path.name for path in (_ETC / "bash-completion").iterdir()}
    assert completions == set(manual.commands()) <= pages
    assert {f"migprog-{name}" for name in manual.subcommands()} <= pages


def test_man_shows_each_page_without_a_warning():
    assert _PAGES
    for path in _PAGES:
        command = ["man", "--warnings=all", "-Tutf8", "-l", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), path
        # Bold is a character over itself.
        shown = re.sub(".\b", "", done.stdout)
        assert "\nSYNOPSIS\n" in shown and "\nDESCRIPTION\n" in shown, path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("migprog", set(manual.subcommands())),
        ("migprog-manage", {"db", "agent"}),
        ("migprog-manage db", {"sync", "purge", "version"}),
    ],
)
def test_bash_completes(line, offered):
    completion = (_ETC / "bash-completion" / line.split()[0]).read_text()
    done = subprocess.run(
        ["bash", "-c", _COMPLETE],
        env={"PATH": "/usr/bin:/bin", "COMPLETION": completion, "LINE": line},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert offered <= set(done.stdout.split()), done.stdout + done.stderr

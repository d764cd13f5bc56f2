# SPDX-License-Identifier: Apache-2.0
"""Every command of README and manual has a test that runs it, and only options that exist."""

import functools
import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from migprog.cmd import replay
from migprog.tests import documents
from migprog.tests.documents import BIN, ROOT, Block

_TESTS = ROOT / "migprog/tests"
_MODULES = {
    "steering-check": "steering",
    "before-check": "before",
    "nova-lab": "nova",
    "record-corpus": "corpus",
}
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_OURS = re.compile(r"(?:\S*/bin/)?migprog(-[a-z]+)?|tools/[a-z-]+")
BLOCKS = documents.blocks()
_RECORDING = ROOT / "lab/corpus/nova/nova-slow-5-of-12.jsonl.gz"


def test_names_of_blocks_are_unique() -> None:
    keys = [block.key for block in BLOCKS]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.key)
def test_block_of_commands_is_run_by_a_test(block: Block) -> None:
    test = documents.run_by().get(block.key)
    assert test, (
        f"add a line for {block.key!r} to migprog/tests/documents.txt: the test that runs it"
    )
    file, _, name = test.partition("::")
    source = (_TESTS / file).read_text()
    assert re.search(rf"(?m)^ *def {name}\b", source), test


def test_each_listed_block_is_in_a_page() -> None:
    assert set(documents.run_by()) == {block.key for block in BLOCKS}


def _named() -> list[Block]:
    """Blocks with a name of their own: the module that runs them names them."""
    return [block for block in BLOCKS if re.fullmatch(r"[a-z]+(-[a-z]+)+", block.name)]


# What runs a whole suite, or is run by the lab beside Nova, cannot have each command.
_BY_SUITES = ("faults-run", "soak-run", "loadtest-run", "loadtest-idle")


@pytest.mark.parametrize("block", _named(), ids=lambda block: block.key)
def test_test_of_a_named_block_names_it(block: Block) -> None:
    if block.name in _BY_SUITES:
        return
    file = documents.run_by()[block.key].partition("::")[0]
    source = (_TESTS / file).read_text()
    if file.endswith("test_nova_lab.py"):
        source = (ROOT / "lab/nova/migprog_install.py").read_text()
    assert f'"{block.name}"' in source


def _lines() -> list[str]:
    """Return each command line of a program of ours, without what comes before and after it."""
    found = set()
    for block in BLOCKS:
        for command in block.commands():
            lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            for is_between, words in itertools.groupby(
                lexer, lambda word: set(word) <= set(";|&<>()")
            ):
                line = list(words)
                # The options of tools/test are pytest's.
                if not is_between and _OURS.fullmatch(line[0]) and line[0] != "tools/test":
                    found.add(shlex.join(line))
    return sorted(found)


@functools.cache
def _help(*words: str) -> str:
    done = subprocess.run(
        [*words, "--help"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def _of(line: str) -> list[str]:
    """Return the program of a command line, with its subcommand, to ask it for help."""
    words = shlex.split(line)
    name = pathlib.Path(words[0]).name
    subcommands = list(itertools.takewhile(re.compile(r"[a-z-]+").fullmatch, words[1:3]))
    if words[0].startswith("tools/"):
        module = [sys.executable, "-m", f"lab.{_MODULES.get(name, name)}"]
        return module + (subcommands[:1] if name == "nova-lab" else [])
    if name == "migprog":
        return [str(BIN / name), *subcommands[:1]]
    return [str(BIN / name), *(subcommands if name == "migprog-manage" else [])]


def test_commands_have_the_options_that_the_pages_show() -> None:
    """One test for all, so that each program is asked for its help once."""
    unknown = {
        line: flags
        for line in _lines()
        if (flags := set(_FLAG.findall(line)) - set(_FLAG.findall(_help(*_of(line)))))
    }
    assert unknown == {}


@pytest.mark.long
def test_arguments_of_tools_test_select_tests() -> None:
    """As pytest reads them; ``tools/test`` without arguments is what runs this."""
    for page, name in (("CONTRIBUTING.rst", "contributing-test"), ("README.rst", "readme-test")):
        for command in documents.block(page, name).commands():
            program, *arguments = shlex.split(command)
            assert program == "tools/test"
            if not arguments or arguments == ["--long"]:
                continue
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, done.stdout[-2000:]
            assert "::" in done.stdout


def test_forms_of_replay_are_as_documented(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each form of the page is run, on a recording of the corpus."""
    for name in ("web", "db"):
        (tmp_path / f"{name}.jsonl.gz").symlink_to(_RECORDING)
    for command in documents.block("replay.rst", "replay-forms").commands():
        program, *arguments = shlex.split(command)
        assert program == "migprog-replay"
        ours = [
            str(tmp_path / word) if word.startswith(("web.", "db.")) else word for word in arguments
        ]
        assert replay.main(ours) == 0, command
    assert "copying" in capsys.readouterr().out
    assert (tmp_path / "web.svg").stat().st_size > 10_000


class TestBlocks:
    """How blocks of commands are found, with a page of its own."""

    @pytest.fixture
    def page(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
        path = tmp_path / "page.rst"
        monkeypatch.setattr(documents, "pages", lambda: {"page.rst": path})
        return path

    def test_command_in_any_literal_block_is_found(self, page: pathlib.Path) -> None:
        page.write_text(
            "Run::\n\n    migprog-manage db sync\n\n"
            ".. code-block:: console\n   :name: named\n\n   $ ls   # of a folder\n   file\n\n"
            "#. In a list:\n\n   .. code-block:: text\n\n      tools/soak --seed 7\n"
        )
        first, named, last = documents.blocks()
        assert [each.name for each in (first, named, last)] == [
            "migprog-manage db",
            "named",
            "tools/soak --seed",
        ]
        assert named.commands() == ["ls"]

    def test_what_is_no_command_is_no_block(self, page: pathlib.Path) -> None:
        page.write_text(
            "A log::\n\n    INFO migprog.service [-] started\n\n"
            "An option::\n\n    [compute]\n    host = compute-1\n\n"
            "A layout::\n\n    migprog  web                 connects everything\n"
        )
        assert [each.name for each in documents.blocks()] in ([], ["migprog web"])

    def test_name_that_is_not_in_the_block_cannot_be_replaced(self, page: pathlib.Path) -> None:
        page.write_text("Run::\n\n    migprog show web\n")
        assert documents.script("page.rst", "migprog show", {"web": "x"}) == "migprog show x"
        with pytest.raises(LookupError, match="has no 'db'"):
            documents.script("page.rst", "migprog show", {"db": "x"})

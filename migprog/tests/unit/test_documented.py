# SPDX-License-Identifier: Apache-2.0
"""The pages and the code agree: options, flags, keys, words, names of files."""

import importlib.util
import pathlib
import re

import pytest
from keystoneauth1.loading import get_plugin_options

from migprog.cmd import loadtest, replay
from migprog.conf import opts
from migprog.core.forecast.verdict import Verdict
from migprog.core.forecast.verdict_reason import VerdictReason
from migprog.core.post_mortem.measures import DIRTY_LESS
from migprog.core.post_mortem.phases import GUEST_PAUSED, NOT_OBSERVED, STALLED
from migprog.core.post_mortem.why_not_known import WhyNotKnown
from migprog.core.status import Phase, Status
from migprog.tests import answers

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_SAMPLE = _ROOT / "etc/migprog/migprog.conf.sample"
_PAGES = {
    path.relative_to(_ROOT).as_posix(): path.read_text()
    for path in (*(_ROOT / "doc/source").rglob("*.rst"), *_ROOT.glob("*.rst"))
}
# Options of Nova's configuration, and of keystoneauth's plugins for the login.
_OF_OTHERS = {("DEFAULT", "host"), ("DEFAULT", "my_ip"), ("keystone_authtoken", "interface")}
# Folders of the project, as pages name them: of the root, of migprog/, migprog/tests/ and lab/.
_FOLDERS = {
    folder.name
    for within in ("", "migprog", "migprog/tests", "lab")
    for folder in (_ROOT / within).iterdir()
    # Pages name files of Nova's as nova/virt/...
    if folder.is_dir() and folder.name != "nova"
}
_OPTION = re.compile(r"#?([a-z]\w*) =")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def _options(text):
    """(section, option) of each line that sets one below the name of a section."""
    section, found = None, set()
    for line in text.splitlines():
        stripped = line.strip()
        if named := re.fullmatch(r"\[(\w+)\]", stripped):
            section = named[1]
        elif not stripped and not line.startswith("#"):
            continue
        elif option := _OPTION.match(stripped):
            found.add((section, option[1]))
        elif not stripped.startswith("#"):
            # Prose: what follows is no configuration any more.
            section = None
    return {each for each in found if each[0]}


@pytest.mark.parametrize(
    ("page", "named"),
    [
        ("hardening", ("oslo_messaging_rabbit", "ssl_ca_file")),
        ("install", ("database", "connection")),
        ("beside-nova", ("nova", "auth_type")),
    ],
)
def test_its_options_are_in_the_sample(page, named):
    told = _options((_ROOT / f"doc/source/{page}.rst").read_text())
    assert named in told
    # The way to log in is a plugin of keystoneauth, whose options no sample can know.
    logging_in = {
        (section, option.dest)
        for section in ("keystone_authtoken", "nova")
        for option in get_plugin_options("password")
    }
    assert told <= _options(_SAMPLE.read_text()) | logging_in


@pytest.mark.parametrize("page", _PAGES)
def test_options_that_a_page_names_are_in_the_sample(page):
    named = set(re.findall(r"``\[(\w+)\]\s+([a-z_]\w*)``", _PAGES[page]))
    assert named - _OF_OTHERS <= _options(_SAMPLE.read_text())


@pytest.mark.parametrize(
    "option", [each for _, group in opts.list_opts() for each in group], ids=lambda each: each.name
)
def test_option_has_a_help_of_whole_sentences(option):
    assert option.help and option.help.rstrip().endswith((".", ")", ":"))


@pytest.mark.parametrize(("page", "command"), [("replay", replay), ("loadtest", loadtest)])
def test_page_has_each_flag_of_its_command(page, command, capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    flags = set(_FLAG.findall(capsys.readouterr().out)) - {"--help", "--version"}
    # A table's row or a list of commands names it; others may be of pip or RabbitMQ.
    assert flags <= set(_FLAG.findall(_PAGES[f"doc/source/{page}.rst"]))


def test_page_of_the_api_has_each_key_of_its_documents():
    schemas = answers.document()["components"]["schemas"]
    keys = {
        key
        for name in ("Migration", "Agent", "Drain", "Summary")
        for key in schemas[name]["properties"]
    }
    assert keys <= set(re.findall(r"``([a-z_]+)``", _PAGES["doc/source/api.rst"]))


@pytest.mark.parametrize("word", [*Status, *Phase, *Verdict, *VerdictReason])
def test_pages_have_each_word_of_a_migration(word):
    verdicts = (_ROOT / "doc/source/verdicts.csv").read_text()
    assert f"``{word}``" in _PAGES["doc/source/api.rst"] or f"{word}," in verdicts


@pytest.mark.parametrize("word", [*WhyNotKnown, DIRTY_LESS, STALLED, GUEST_PAUSED, NOT_OBSERVED])
def test_page_of_the_api_has_each_word_of_a_summary(word):
    assert f"``{word}``" in _PAGES["doc/source/api.rst"]


@pytest.mark.parametrize("page", _PAGES)
def test_files_that_a_page_names_are_there(page):
    """``core/merge``, ``lab/demo.py``: below the root, or below migprog/ without the ending. A
    folder of lab/ may be named alone, as ``corpus/``."""
    named = re.findall(r"``((?:[a-z_]+/)+[a-z_]*(?:\.\w+)?)``", _PAGES[page])
    assert [
        name
        for name in named
        if name.split("/")[0] in _FOLDERS
        and not any(
            (_ROOT / root / (name + ending)).exists()
            for root in ("", "migprog", "migprog/tests")
            for ending in ("", ".py")
        )
        and not (name.count("/") == 1 and name.endswith("/") and (_ROOT / "lab" / name).is_dir())
    ] == []


def test_each_file_says_what_is_in_it():
    """The page of all files is made of that."""
    path = _ROOT / "doc/ext/file_list.py"
    spec = importlib.util.spec_from_file_location("file_list", path)
    file_list = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(file_list)
    assert [
        name.as_posix()
        for name in file_list.listed_files()
        if name.name != "__init__.py" and not file_list.summary(name)
    ] == []
    text = file_list.text()
    assert "   * - ``merge``\n     - Merge a report" in text
    # Below its title each folder says what is in it.
    assert re.findall(r"(?m)^(\S+/)\n=+\n+(?:\.\.|\S+/\n=)", text) == []


def test_firewall_page_has_the_ports_of_each_process():
    page = _PAGES["doc/source/firewall.rst"]
    rows = re.findall(r"(?m)^\S.*?  (\d{4,5})  .*$", page)
    options = {
        (group.name, option.name): option for group, each in opts.list_opts() for option in each
    }
    assert str(options["api", "bind_port"].default) in rows
    for group in ("compute", "conductor", "api"):
        sample = str(options[group, "metrics_bind_port"].sample_default)
        assert sample in rows
        assert f"``[{group}]" in page


def test_log_lines_of_the_troubleshooting_page_are_lines_of_the_code():
    page = _PAGES["doc/source/troubleshooting.rst"].partition("The log says ...")[2]
    lines = re.findall(r"(?m)^``[^=\n]+?``(?:, ``[^`]+``)?(?=  )", page)
    texts = [text for line in lines for text in re.findall(r"``([^`]+)``", line)]
    assert len(texts) > 8
    code = "".join(
        re.sub(r'"\s+f?"', "", path.read_text())
        for path in (_ROOT / "migprog").rglob("*.py")
        if "tests" not in path.parts
    )
    # What a library says itself.
    assert [text for text in texts if text not in code] == ["certificate verify failed"]

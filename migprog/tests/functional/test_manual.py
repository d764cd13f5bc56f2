# SPDX-License-Identifier: Apache-2.0
"""The manual is built without a warning, and its index answers what operators ask."""

import html
import json
import pathlib
import re
import subprocess
import sys

import pytest

from migprog.conf.compute import OPTS
from migprog.tests.documents import ROOT, SOURCE
from migprog.tests.unit.ui import node

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of the pages; a warning is an error."""
    out = tmp_path_factory.mktemp("manual")
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "sphinx", "-q", "-W", "--keep-going"),
            *("-b", "html", "-d", str(out / "doctrees"), str(SOURCE), str(out / "html")),
        ],
        # From anywhere.
        cwd=out,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.mark.parametrize(
    ("looked_up", "page"),
    [
        ("not converging", "verdict-guide"),
        ("stalled", "verdict-guide"),
        ("report_interval", "interval"),
        ("interval", "interval"),
        ("stale", "troubleshooting"),
        ("firewall", "firewall"),
        ("ports", "firewall"),
        ("upgrade", "upgrade"),
        ("cost", "interval"),
        ("hangs", "troubleshooting"),
        ("backup", "backup"),
        ("high availability", "high-availability"),
        ("TLS", "hardening"),
    ],
)
def test_index_leads_to_the_page(manual: pathlib.Path, looked_up: str, page: str) -> None:
    text = (manual / "genindex.html").read_text()
    # An entry, its own link or those of the entries below it, until the next one.
    found = re.search(rf"(?s)>\s*{re.escape(looked_up)}(?:</a>|\n).{{0,600}}", text)
    assert found, f"the index has no {looked_up!r}"
    around = text[max(0, found.start() - 80) : found.end()]
    assert f'href="{page}.html' in around


# What an operator asks, as words to search for, and the page with the answer.
QUESTIONS = {
    "not converging": "verdict-guide",
    "not-converging": "verdict-guide",
    "raise the interval": "interval",
    "how do I raise the report interval": "interval",
    "stale": "troubleshooting",
    "why is a row stale": "troubleshooting",
    "firewall": "firewall",
    "ports": "firewall",
    "upgrade": "upgrade",
    "how do I upgrade": "upgrade",
    "cost": "interval",
    "what does it cost": "sizing",
}
# As many as a reader looks at.
_FIRST = 5


def test_search_shows_the_page_among_the_first(manual: pathlib.Path) -> None:
    """By Sphinx's own search, as a browser runs it."""
    script = pathlib.Path(__file__).with_name("manual_search.cjs")
    found = json.loads(node.run(str(script), str(manual), given=json.dumps([*QUESTIONS])))
    shown = {words: pages[:_FIRST] for words, pages in zip(QUESTIONS, found, strict=True)}
    assert {words: pages for words, pages in shown.items() if QUESTIONS[words] not in pages} == {}


def test_first_page_has_the_sections_and_the_questions(manual: pathlib.Path) -> None:
    text = (manual / "index.html").read_text()
    body = text.partition('<div class="body"')[2].partition('class="sphinxsidebar"')[0]
    for part in (
        *("User guide", "Operator guide: set up", "Operator guide: run"),
        *("Reference", "Contributor guide"),
    ):
        assert body.count(f'<span class="caption-text">{part}</span>') == 1
    assert len(re.findall("(?i)>operator guide", body)) == 2, "each part is named once"
    for page in ("first-steps", "sizing", *QUESTIONS.values()):
        assert f'href="{page}.html"' in text


def test_reference_has_addresses_options_rules_and_commands(manual: pathlib.Path) -> None:
    def page(name: str) -> str:
        return re.sub(r"<[^>]+>", "", (manual / f"{name}.html").read_text())

    api = html.unescape(page("api-reference"))
    assert "/servers/{server_uuid}/migrations/{id_or_uuid}/history" in api
    assert "/v2.1/os-migrations" in api
    assert "report_interval" in page("configuration")
    assert "migprog:migrations:abort" in page("policy")
    commands = page("cli-reference")
    for option in ("--until-done", "--start-timeout", "--api-version"):
        assert option in commands
    assert "migration progress watch" in commands and "wait-host" in commands


def test_pictures_are_drawn_from_recordings(manual: pathlib.Path) -> None:
    text = (manual / "reading.html").read_text()
    pictures = re.findall(r'src="(_images/[\w-]+\.svg)"', text)
    assert len(pictures) == 4
    for picture in pictures:
        assert "percent reported" in (manual / picture).read_text()


def test_defaults_in_pages_are_those_of_the_options(manual: pathlib.Path) -> None:
    (default,) = (each.default for each in OPTS if each.name == "report_interval")
    text = re.sub(r"<[^>]+>", "", (manual / "interval.html").read_text())
    assert re.search(rf"report_interval\s+{default:g} s\s", text)


def test_manual_needs_what_its_own_requirements_name() -> None:
    """The tests have them, too: so they are the same."""
    names = re.compile(r"(?m)^([\w.-]+)>=")
    own = set(names.findall((ROOT / "doc/requirements.txt").read_text()))
    assert own <= set(names.findall((ROOT / "test-requirements.txt").read_text()))

# SPDX-License-Identifier: Apache-2.0
"""What the page does when things go wrong: an API that is down, histories that are long or
empty, names that are long, actions that are refused, and users who go back and forth."""

import pathlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.browser import DESKTOP, PHONE, Browser
from lab.parts import processes
from migprog import objects
from migprog.core.messages import Report
from migprog.core.operator_actions import OperatorAction
from migprog.tests import stores
from migprog.tests.fixtures import maintenance, migrations
from migprog.tests.functional.test_api import serving
from migprog.tests.functional.ui.conftest import show

pytestmark = pytest.mark.functional

_ENDED = 210
# A migration of whose course more than one point is known.
_OBSERVED = "observed-01"
_LONG_HOST = "compute-" + "rack-in-the-hall-at-the-end-of-the-corridor." * 5 + "example.org"
_ACTIONS = "allow_actions = true\n[DEFAULT]\ntransport_url = rabbit://127.0.0.1:1/\n"
_OPTIONS = f"news_interval = 0.3\nstale_after = 3600\n{_ACTIONS}"
# How much of a name is cut off, in CSS pixels.
_CUT = (
    "const e = [...document.querySelectorAll('.row .server')]"
    ".find((each) => each.textContent === arguments[0]); return e.scrollWidth - e.clientWidth"
)


@dataclass
class Cloud:
    """``running``: the reports of those in progress, the last one on hosts with long names."""

    store: objects.Store
    page: str
    program: processes.Program
    running: list[Report]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("troubles")
    url = f"sqlite:///{directory / 'migprog.sqlite'}"
    store = stores.ready(url)
    running = maintenance.fill(store, ended=_ENDED)
    long = migrations.running(700, server_name="web-of-the-long-hosts")
    stores.store(store, long, host=_LONG_HOST, last_reported_at=time.time())
    arrived = stores.arrival(long.server_uuid, long.started_at + 0.1)
    stores.store(store, arrived, host=f"a-{_LONG_HOST}", last_reported_at=time.time())
    observed = migrations.running(701, server_name=_OBSERVED)
    for seconds in (40, 20, 0):
        observed = stores.later(observed, sampled_at=time.time() - seconds)
        stores.store(store, observed, host="compute-01", last_reported_at=time.time())
    with serving(directory, url, "threading", _OPTIONS) as (api, program):
        yield Cloud(store, f"{api}/ui/", program, [*running, long])
    store.close()


@pytest.fixture
def shown(cloud: Cloud, browser: Browser) -> Iterator[Browser]:
    show(browser, cloud.page)
    yield browser
    # What the API refuses is on the console, as it should be.
    assert [each for each in browser.faults() if not re.search(" (403|409) ", each)] == []


def _address(report: Report) -> str:
    return f"#/migration/{report.server_uuid}/{report.uuid}"


@pytest.mark.long
def test_back_leads_to_the_same_filter_place_and_row(cloud: Cloud, shown: Browser) -> None:
    shown.open(f"{cloud.page}#/now?verdict=converging")
    shown.wait_for(".list[aria-rowcount='17']")
    shown.run("scrollTo(0, 300)")
    assert shown.run("return scrollY") == 300
    (name,) = shown.texts(".row[aria-rowindex='12'] .server")
    for by_link in (True, False):
        shown.click(".row[aria-rowindex='12'] .server")
        shown.wait_for("h2 bdi", name)
        assert shown.run("return scrollY") == 0
        if by_link:
            shown.click(".back a")
        else:
            shown.driver.back()
        shown.wait_for(".row[aria-rowindex='12']", name)
        processes.wait_for(lambda: shown.run("return scrollY") == 300, 10, "the place to be back")
        assert shown.run("return location.hash") == "#/now?verdict=converging"
        assert shown.run("return document.activeElement.textContent") == name


@pytest.mark.long
def test_each_view_is_the_same_after_a_reload(cloud: Cloud, shown: Browser) -> None:
    for address, css, text in (
        ("#/now?text=web-11", ".row .server", "web-11"),
        ("#/hosts", ".row .server", "compute-08"),
        ("#/hosts/compute-01", "#drain", "Drain"),
        ("#/ended?status=failed", ".row .verdict", "failed"),
        (_address(cloud.running[1]), "h2 bdi", str(cloud.running[1].server_name)),
    ):
        shown.open(cloud.page + address)
        shown.wait_for(css, text)
        shown.driver.refresh()
        shown.wait_for(css, text)
        assert shown.run("return location.hash") == address


@pytest.mark.long
def test_search_says_what_it_has_searched(cloud: Cloud, shown: Browser) -> None:
    shown.open(f"{cloud.page}#/ended?text=no-such-server")
    shown.wait_for(".nothing", "None of the newest 200 matches.")
    shown.click(".more button", "Load older ones")
    shown.wait_for(".nothing", "No migration that has ended matches.")


@pytest.mark.long
def test_long_host_names_do_not_hide_the_server(cloud: Cloud, shown: Browser) -> None:
    name = str(cloud.running[-1].server_name)
    shown.find("input[type=search]")[0].send_keys(name)
    shown.wait_for(".totals dd", "1")
    for size in (DESKTOP, PHONE):
        shown.resize(size)
        shown.wait_for(".row .server", name)
        assert shown.run(_CUT, name) <= 0


@pytest.mark.long
def test_phone_takes_the_whole_row_and_shows_what_to_do(cloud: Cloud, shown: Browser) -> None:
    shown.resize(PHONE)
    shown.wait_for(".row .advice.bad", "check the network between compute-02 and compute-04")
    advice = (
        "const e = document.querySelector('.row .advice'); return e.scrollHeight - e.clientHeight"
    )
    assert shown.run(advice) <= 0, "it is not cut"
    there = "const e = document.querySelector('.row .percent').getBoundingClientRect();"
    found = shown.run(f"{there} return document.elementFromPoint(e.x + 2, e.y + 2)")
    found.click()
    shown.wait_for("h2 bdi")


def test_title_says_what_needs_somebody(cloud: Cloud, shown: Browser) -> None:
    shown.wait_for(".totals .bad dd", "2")
    assert shown.driver.title == "▲ 2 in trouble - Live migrations"


def test_abort_that_is_refused_says_so_at_that_migration_alone(
    cloud: Cloud, shown: Browser
) -> None:
    one, other = cloud.running[7:9]
    shown.open(cloud.page + _address(one))
    shown.click(".buttons button", "Abort")
    shown.click("dialog button", "Abort the migration")
    shown.wait_for(".done", "Not done: ")
    shown.open(cloud.page + _address(other))
    shown.wait_for("h2 bdi", str(other.server_name))
    assert shown.texts(".done") == []
    shown.driver.back()
    shown.wait_for(".done", "Not done: ")


def test_action_of_another_operator_is_shown(cloud: Cloud, shown: Browser) -> None:
    asked = OperatorAction(
        after_seconds=9.0,
        action="abort",
        state="begun",
        user_id="ann",
        project_id=None,
        request_id=None,
    )
    before = cloud.running[13]
    report = stores.later(before, sampled_at=time.time(), actions=(asked,))
    shown.open(cloud.page + _address(report))
    migrations.store(cloud.store, report, host="compute-02")
    assert "abort" in shown.wait_for("tr", "user ann").text


def test_question_is_withdrawn_when_one_leaves(cloud: Cloud, shown: Browser) -> None:
    shown.click(".row .server")
    shown.click(".buttons button", "Abort")
    shown.wait_for("dialog[open]")
    shown.driver.back()
    shown.wait_for_none("dialog")
    shown.wait_for(".row")


@pytest.mark.long
def test_abort_that_comes_after_the_end_says_so(cloud: Cloud, shown: Browser) -> None:
    ends = cloud.running[9]
    shown.open(cloud.page + _address(ends))
    shown.click(".buttons button", "Abort")
    shown.wait_for("dialog[open]")
    cloud.running[9] = migrations.ended(ends)
    migrations.store(cloud.store, cloud.running[9], host="compute-02")
    shown.wait_for(".head .verdict", "completed")
    shown.click("dialog button", "Abort the migration")
    shown.wait_for(".done", "Not done: ")
    shown.wait_for(".post-mortem", "Completed after")


def test_outage_is_seen_and_what_was_not_answered_is_asked_for_again(
    cloud: Cloud, shown: Browser
) -> None:
    ends = cloud.running[11]
    cloud.program.stop()
    shown.wait_for(".outage", "The figures are")
    shown.wait_for(".link.bad", "old")
    assert shown.driver.title == "▲ no answer - Live migrations"
    grey = "return getComputedStyle(document.querySelector('.row .bar .sure')).backgroundColor"
    assert shown.run(grey) == shown.run(
        "return getComputedStyle(document.querySelector('.faint')).color"
    )
    shown.find("input[type=search]")[0].send_keys(_OBSERVED)
    shown.click(".row .server", _OBSERVED)
    shown.wait_for(".head .verdict", "converging")
    assert shown.texts(".charts") == []
    migrations.store(cloud.store, migrations.ended(ends), host="compute-02")
    cloud.program.start()
    shown.wait_for_none(".outage")
    # Its history, which was asked for in vain.
    shown.wait_for(".charts figure", "Memory that remains")
    shown.click(".top nav a", "Now")
    shown.wait_for(".totals", "Just ended")


def test_nothing_in_progress_is_said(tmp_path: pathlib.Path, browser: Browser) -> None:
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store = stores.ready(url)
    with serving(tmp_path, url, "threading", _OPTIONS) as (api, _program):
        browser.open(f"{api}/ui/")
        browser.wait_for(".nothing", "No migration is in progress.")
        browser.click(".top nav a", "Ended")
        browser.wait_for(".nothing", "No migration has ended.")
        browser.click(".top nav a", "Hosts")
        browser.wait_for(".nothing", "No host is known.")
        assert browser.faults() == []
    store.close()

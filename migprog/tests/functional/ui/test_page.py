# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium, over a real ``migprog-api`` whose database a test fills."""

import pathlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.browser import DESKTOP, PHONE, Browser
from migprog import objects
from migprog.core.forecast.verdict import Verdict
from migprog.core.messages import Batch, Report
from migprog.core.status import Status
from migprog.tests import stores
from migprog.tests.fixtures import maintenance, migrations
from migprog.tests.functional.test_api import serving
from migprog.tests.functional.ui.conftest import show
from migprog.tests.store_cases.measuring import measured

pytestmark = pytest.mark.functional

# Servers of the first host that do not migrate.
_QUIET, _BUSY = (str(uuid.UUID(int=600 + number)) for number in range(2))
_VIEWS = ("now", "hosts", "hosts/compute-01", "ended")
# On a busy machine a test may take longer than records stay fresh by default.
_STALE_AFTER_SECONDS = 3600
_INTERVAL = f"news_interval = 0.3\nstale_after = {_STALE_AFTER_SECONDS}\n"
# Requests for the list, as the browser has counted them.
_REQUESTS = (
    "return performance.getEntriesByType('resource').filter((e) => e.name.includes("
    "'/migrations?')).length"
)


def _measure(store: objects.Store, server_uuid: str, name: str, **values: Any) -> None:
    """Store a measurement of a server of the first host that does not migrate."""
    entry = measured(
        server_uuid, time.time() - 90_000, server_name=name, resident_bytes=None, **values
    )
    batch = Batch(host="compute-01", node="compute-01.lab", measurements=(entry,))
    objects.store_batch(store, batch, time.time() - 90_000)


class Cloud:
    """A store that an API shows. ``running``: the reports of those in progress."""

    def __init__(self, store: objects.Store, api: str, running: list[Report]) -> None:
        self.store = store
        self.page = f"{api}/ui/"
        self.running = running

    def report(self, number: int, **values: Any) -> None:
        """Store a later report of one in progress."""
        at = self.running[number]
        at = self.running[number] = stores.later(at, sampled_at=time.time(), **values)
        stores.store(
            self.store, at, host=maintenance.HOSTS[number % 2], last_reported_at=time.time()
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("page")
    url = f"sqlite:///{directory / 'migprog.sqlite'}"
    store = stores.ready(url)
    running = maintenance.fill(store, stale_seconds=_STALE_AFTER_SECONDS)
    _measure(store, _QUIET, "quiet")
    _measure(store, _BUSY, "busy", windows=((1.0, 9000), (4.0, 9000)), memory_bytes=64 * 2**30)
    with serving(directory, url, "threading", _INTERVAL) as (api, program):
        yield Cloud(store, api, running)
        assert "Traceback" not in program.output()
    store.close()


@pytest.fixture
def shown(cloud: Cloud, browser: Browser) -> Iterator[Browser]:
    """A browser that shows the running migrations; it must find no fault with the page."""
    show(browser, cloud.page)
    yield browser
    assert browser.faults() == []


def test_every_view_is_for_everybody(
    cloud: Cloud, shown: Browser, picture: Callable[[Browser, str], pathlib.Path]
) -> None:
    looks = {
        "": (DESKTOP, "light"),
        "-dark": (DESKTOP, "dark"),
        "-phone": (PHONE, "light"),
    }
    (disks,) = (each for each in cloud.running if each.disks)
    for look, (size, scheme) in looks.items():
        shown.resize(size)
        shown.prefer(prefers_color_scheme=scheme)
        for view in (*_VIEWS, f"migration/{disks.server_uuid}/{disks.uuid}"):
            shown.open(f"{cloud.page}#/{view}")
            shown.wait_for("main .verdict, main .pairs summary")
            assert shown.barriers() == [], (view, look)
            wide = shown.run("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1], (view, look, wide)
            if view == "hosts/compute-01":
                shown.wait_for("#plan")
                rows = dict(
                    zip(shown.texts(".plan .server"), shown.texts(".plan .verdict"), strict=True)
                )
                assert (rows["quiet"], rows["busy"]) == ("waiting", "stays")
                assert any("does not converge" in each for each in shown.texts(".plan .why"))
                assert shown.barriers() == [], (view, look)
            name = "disks" if "migration" in view else view.replace("/compute-01", "-one")
            picture(shown, name + look)


def test_trouble_comes_first_with_advice(cloud: Cloud, shown: Browser) -> None:
    verdicts = shown.texts(".row .verdict")
    assert [each.lstrip("▲◆●○") for each in verdicts[:2]] == ["stalled", "not-converging"]
    assert shown.texts(".row .advice")[0].endswith(
        "check the network between compute-02 and compute-04 - no data has moved for 12 s"
    )
    assert verdicts[2].startswith("◆stale 1h")
    assert shown.texts(".totals .bad dd") == ["2 1 stalled, 1 not-converging"]


def test_news_is_shown_and_progress_is_not_announced(cloud: Cloud, shown: Browser) -> None:
    name = cloud.running[6].server_name
    # All rows are in sight.
    shown.resize((1280, 2000))
    shown.run(
        "window.said = []; new MutationObserver(() => said.push(document.querySelector('#said')"
        ".textContent)).observe(document.querySelector('#said'), {childList: true})"
    )
    shown.wait_for("#said", "migrations in progress")
    shown.run("said.length = 0")
    for percent in (91, 92, 93):
        cloud.report(6, percent=percent)
        shown.wait_for(f".bar[aria-label='Progress of {name}'][aria-valuenow='{percent}']")
    cloud.report(6, verdict=Verdict.STALLED)
    shown.wait_for("#said", f"{name}: stalled.")
    assert shown.run("return said") == [f"{name}: stalled."]
    cloud.report(6, verdict=Verdict.CONVERGING)


def test_it_does_not_poll_while_news_works(cloud: Cloud, shown: Browser) -> None:
    shown.wait_for(".link", "live")
    before = shown.run(_REQUESTS)
    rounds = time.monotonic() + 3
    while time.monotonic() < rounds:
        # It is drawn each second meanwhile.
        shown.wait_for(".clock")
    assert shown.run(_REQUESTS) - before <= 1, "one request waits"


@pytest.mark.long
def test_clock_is_the_apis(cloud: Cloud, shown: Browser) -> None:
    wrong = "const real = Date.now; Date.now = () => real() + 7200_000;"
    made = shown.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": wrong})
    try:
        shown.open("about:blank")
        shown.open(cloud.page)
        shown.wait_for(".row")
        hour, minute, second = map(int, shown.texts(".clock")[0].split(":"))
        now = time.localtime()
        ahead = (hour - now.tm_hour) * 3600 + (minute - now.tm_min) * 60 + second - now.tm_sec
        assert abs((ahead + 43_200) % 86_400 - 43_200) <= 3
    finally:
        shown.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_filter_is_in_the_address_and_works_by_keyboard(cloud: Cloud, shown: Browser) -> None:
    name = cloud.running[9].server_name
    # The first stop of the keyboard leads past what each view has.
    shown.find("body")[0].send_keys("\ue004")
    assert shown.run("return document.activeElement.className") == "skip"
    shown.find(".skip")[0].send_keys("\ue007")
    assert shown.run("return document.activeElement.id") == "main"
    shown.find("input[type=search]")[0].send_keys(str(name))
    shown.wait_for(".totals dd", "1")
    assert shown.texts(".row .server") == [name]
    assert shown.run("return location.hash") == f"#/now?text={name}"
    shown.driver.refresh()
    shown.wait_for(".row")
    assert shown.texts(".row .server") == [name]
    shown.find(".row .server")[0].send_keys("\ue007")
    shown.wait_for("h2 bdi", str(name))
    assert shown.run("return document.activeElement.tagName") == "H2"
    shown.driver.back()
    shown.wait_for(".row")
    assert shown.texts(".row .server") == [name]


@pytest.mark.long
def test_hosts_say_whether_they_are_safe_to_restart(cloud: Cloud, shown: Browser) -> None:
    shown.click(".top nav a", "Hosts")
    shown.wait_for(".row .verdict.good", "safe to restart")
    said = dict(zip(shown.texts(".row .server"), shown.texts(".row .verdict"), strict=True))
    assert said["compute-01"] == "▲do not restart"
    assert said["compute-08"] == "●safe to restart"
    shown.click(".row a", "compute-01")
    shown.wait_for("#drain")
    assert "31 servers" in shown.texts("section")[1]


@pytest.mark.long
def test_history_is_searched_and_drawn_by_pair_of_hosts(cloud: Cloud, shown: Browser) -> None:
    shown.click(".top nav a", "Ended")
    shown.wait_for(".pairs .pair", "compute-01 → compute-04")
    shown.wait_for(".list[aria-rowcount='61']")
    shown.run(
        "const s = document.querySelector('.filters select'); s.value = 'cancelled';"
        "s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    shown.wait_for(".more", "of the newest ")
    assert {each.lstrip("▲") for each in shown.texts(".row .verdict")} == {"cancelled"}
    shown.find("input[type=search]")[0].send_keys("no such server")
    shown.wait_for(".nothing", "No migration that has ended matches.")


@pytest.mark.long
def test_reduced_motion_moves_nothing(cloud: Cloud, shown: Browser) -> None:
    shown.click(".row .server")
    shown.wait_for(".line.big .bar .sure")
    style = "return getComputedStyle(document.querySelector('.line.big .sure')).transitionDuration"
    assert shown.run(style) == "0.4s, 0.4s"
    shown.prefer(prefers_reduced_motion="reduce")
    assert shown.run(style) == "0s"


def test_names_that_tenants_choose_are_text_everywhere(
    tmp_path: pathlib.Path, browser: Browser
) -> None:
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store = stores.ready(url)
    made = maintenance.fill(store, maintenance.HOSTILE, ended=0)
    for number, name in enumerate(maintenance.HOSTILE):
        _measure(store, str(uuid.UUID(int=700 + number)), name)
    with serving(tmp_path, url, "threading", _INTERVAL) as (api, _program):
        browser.open(f"{api}/ui/")
        browser.wait_for(".row", "<script>")
        shown = browser.texts(".row .server")
        assert {'<script>noted.push("run")</script>', "?evil? ?[31mred", "x" * 255} <= set(shown)
        for number in range(4, 4 + len(maintenance.HOSTILE)):
            browser.open(f"{api}/ui/#/now")
            browser.wait_for(".row")
            browser.open(f"{api}/ui/#/migration/{made[number].server_uuid}/{number + 1}")
            browser.wait_for("h2 bdi")
            width = browser.run("return document.documentElement.scrollWidth - innerWidth")
            assert width <= 0
        browser.open(f"{api}/ui/#/hosts/compute-01")
        browser.wait_for(".plan .server", "<script>")
        assert {"?evil? ?[31mred", "x" * 255} <= set(browser.texts(".plan .server"))
        migrations.store(store, migrations.ended(made[4], Status.FAILED), host="compute-01")
        browser.open(f"{api}/ui/#/ended")
        browser.wait_for(".row", "<script>")
        assert browser.faults() == []
    store.close()


@pytest.mark.long
def test_without_news_it_polls_and_says_so(tmp_path: pathlib.Path, browser: Browser) -> None:
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store = stores.ready(url)
    (made,) = migrations.fill(store, 1)
    with serving(tmp_path, url, "threading", "max_watchers = 0\n") as (api, _program):
        browser.open(f"{api}/ui/")
        browser.wait_for(".link", "every 5 s")
        migrations.store(store, migrations.ended(made))
        browser.wait_for(".row .verdict", "completed")
        refused = [each for each in browser.faults() if "503" not in each]
        assert refused == []
    store.close()


@pytest.mark.long
def test_only_rows_in_sight_are_drawn(tmp_path: pathlib.Path, browser: Browser) -> None:
    url = f"sqlite:///{tmp_path / 'migprog.sqlite'}"
    store = stores.ready(url)
    migrations.fill(store, 1000)
    with serving(tmp_path, url, "threading", _INTERVAL) as (api, _program):
        browser.open(f"{api}/ui/")
        browser.wait_for(".list[aria-rowcount='1001']")
        assert 8 <= len(browser.find(".row")) <= 40
        browser.run("document.querySelector('.row .server').focus()")
        first = browser.texts(".row .server")[0]
        browser.run("scrollTo(0, document.documentElement.scrollHeight)")
        browser.wait_for(".row[aria-rowindex='1001']")
        assert len(browser.find(".row")) <= 40
        # What has the focus is still there, though out of sight.
        assert browser.run("return document.activeElement.textContent") == first
        assert browser.faults() == []
    store.close()

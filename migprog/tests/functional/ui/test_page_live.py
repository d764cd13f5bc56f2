# SPDX-License-Identifier: Apache-2.0
"""The page over real migrations, from their start to their end, in a real Chromium.

Four guests migrate side by side. Two converge, while the API is restarted under the page. Two do
not: by the page's buttons one is aborted, and the other one forced to complete.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import libvirt
import pytest

from lab.browser import DESKTOP, Browser
from lab.hosts import Guest, Lab, Migration, NovaMetadata, Server
from lab.parts import processes
from lab.parts.deployment import Deployment

pytestmark = pytest.mark.functional

_PROJECT = "5a0f1c3e9d514b6f8e4f6c1d2b3a4958"
# As a tenant may call a server.
HOSTILE = '<img src=x onerror="noted.push(1)"> \u202e{0} ${x} ]]>'
HOSTILE_SHOWN = HOSTILE.replace("\u202e", "?")
STUCK, FORCED, CONVERGES = "cache-01", "queue-01", "web-01"
SHOWN = (HOSTILE_SHOWN, STUCK, FORCED, CONVERGES)
# The first is slow until all else has been done.
_MIB_S = {HOSTILE: 1, STUCK: 3, FORCED: 3, CONVERGES: 4}
_FAST_MIB_S = 200
# Notes each drawing of the bars: percentage, and widths of both parts.
_COLLECT = """
window.bars = {};
(function look() {
  for (const bar of document.querySelectorAll(".bar[aria-label]")) {
    const parts = [bar.ariaValueNow, bar.querySelector(".sure").style.width];
    const known = (bars[bar.ariaLabel] ??= []);
    if (String(known.at(-1)) !== String(parts)) known.push(parts);
  }
  requestAnimationFrame(look);
})();
"""


@dataclasses.dataclass(frozen=True)
class Site:
    lab: Lab
    deployment: Deployment
    servers: dict[str, Server]
    migrations: dict[str, Migration]

    @property
    def page(self) -> str:
        return f"{self.deployment.api}/ui/"

    def record(self, name: str) -> dict[str, Any]:
        (found,) = self.deployment.migrations(self.servers[name].uuid)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, rabbitmq: str, lab: Lab) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("page")
    database = f"sqlite:///{directory}/migprog.sqlite"
    options = {"allow_actions": True, "news_interval": 0.5}
    with Deployment(directory, rabbitmq, database, "threading", **options) as deployment:
        for host in lab.hosts:
            deployment.agent(host, report_interval=0.5, heartbeat_interval=2, allow_actions=True)
        servers: dict[str, Server] = {}
        migrations: dict[str, Migration] = {}
        source, destination = lab.hosts
        for name, guest in {
            HOSTILE: {"memory_mib": 64, "fill_mib": 48, "segments": ((1000, 0.3),)},
            STUCK: {"memory_mib": 32, "fill_mib": 20, "segments": ((1000, 9.0),)},
            FORCED: {"memory_mib": 32, "fill_mib": 20, "segments": ((1000, 9.0),)},
            CONVERGES: {"memory_mib": 64, "fill_mib": 40, "segments": ((1000, 1.5),)},
        }.items():
            nova = NovaMetadata(server_name=name, project_id=_PROJECT)
            made = Guest(f"page-{len(servers)}", working_set_mib=8, nova=nova, **guest)
            servers[name] = lab.start_guest(lab.hosts[0], made)
            migrations[name] = lab.migrate(
                servers[name], source, destination, bandwidth_mib_s=_MIB_S[name]
            )
        yield Site(lab, deployment, servers, migrations)
        for server in servers.values():
            lab.destroy_guest(server)
        assert "Traceback" not in deployment.api_program.output()


def test_real_migrations_from_start_to_end(
    site: Site, browser: Browser, picture: Callable[[Browser, str], Any]
) -> None:
    browser.open(site.page)
    for shown in SHOWN:
        browser.wait_for(".row .server", shown)
    browser.run(_COLLECT)
    browser.wait_for(".row", "lab-a → lab-b")
    browser.wait_for(".row .verdict.bad", "not-converging")
    assert browser.texts(".row .server")[0] in (STUCK, FORCED), "what is in trouble comes first"
    browser.wait_for(".row .advice.bad", "needs ")

    _restart_the_api(site, browser)
    _abort_by_the_button(site, browser, picture)
    _force_by_the_button(site, browser)

    browser.click(".top nav a", "Now")
    browser.wait_for(".row .server", HOSTILE_SHOWN)
    site.migrations[HOSTILE].set_bandwidth(_FAST_MIB_S)
    processes.wait_for(
        lambda: any(HOSTILE_SHOWN in row and "completed" in row for row in browser.texts(".row")),
        60,
        "the first to complete",
    )
    _the_bars_never_went_back(browser)
    browser.click(".row .server", HOSTILE_SHOWN)
    browser.wait_for(".post-mortem", "Completed after")
    assert browser.texts("h2 bdi") == [HOSTILE_SHOWN]
    assert "first memory iteration" in browser.texts(".post-mortem")[0]
    browser.wait_for(".charts figure:nth-child(3)", "what came true")
    assert browser.barriers() == []

    browser.click(".top nav a", "Ended")
    browser.wait_for(".row", "completed")
    assert {*browser.texts(".row .server")} == {*SHOWN}
    assert browser.texts(".pairs .pair") == ["lab-a → lab-b"]
    browser.click(".row .server", CONVERGES)
    browser.wait_for(".post-mortem", "Completed after")
    browser.resize((1280, 1230))
    picture(browser, "ended-migration")
    browser.resize(DESKTOP)
    browser.click(".top nav a", "Hosts")
    browser.wait_for(".row .verdict.good", "safe to restart")
    assert browser.faults() == []


def _restart_the_api(site: Site, browser: Browser) -> None:
    """What is known stays, with its age, and goes on by itself."""
    site.deployment.api_program.stop()
    assert "old" in browser.wait_for(".outage", "The figures are").text
    assert len(browser.find(".row")) == len(SHOWN)
    site.deployment.api_program.start()
    site.deployment.wait_for_api()
    browser.wait_for(".link.good", "live")
    browser.wait_for_none(".outage")


def _abort_by_the_button(
    site: Site, browser: Browser, picture: Callable[[Browser, str], Any]
) -> None:
    browser.click(".row .server", STUCK)
    browser.wait_for(".charts figure:nth-child(3)", "Time left")
    picture(browser, "migration")
    assert browser.barriers() == []
    browser.click(".buttons button", "Abort")
    said = browser.wait_for("dialog[open]").text
    assert f"Abort the migration of {STUCK}?" in said and "keeps running on lab-a" in said
    assert browser.barriers() == []
    picture(browser, "abort")
    # What has the focus does nothing: a key pressed by mistake must not abort.
    assert browser.run("return document.activeElement.textContent") == "Do nothing"
    browser.click("dialog button", "Do nothing")
    browser.wait_for_none("dialog")
    assert site.record(STUCK)["in_progress"]
    browser.click(".buttons button", "Abort")
    browser.click("dialog button", "Abort the migration")
    browser.wait_for(".post-mortem", "Cancelled after")
    browser.wait_for(".head .verdict", "cancelled")
    assert site.deployment.wait_for_end(site.servers[STUCK].uuid)["status"] == "cancelled"
    with site.lab.hosts[0].connect() as connection:
        state = connection.lookupByUUIDString(site.servers[STUCK].uuid).state()
    assert state[0] == libvirt.VIR_DOMAIN_RUNNING


def _force_by_the_button(site: Site, browser: Browser) -> None:
    browser.click(".top nav a", "Now")
    browser.click(".row .server", FORCED)
    browser.click(".buttons button", "Force complete")
    assert "the guest is paused until" in browser.wait_for("dialog[open]").text
    browser.click("dialog button", "Force it to complete")
    browser.wait_for(".post-mortem", "Completed after")
    record = site.deployment.wait_for_end(site.servers[FORCED].uuid)
    assert (record["status"], record["dest_compute"]) == ("completed", "lab-b")


def _the_bars_never_went_back(browser: Browser) -> None:
    bars: dict[str, list[tuple[str | None, str]]] = browser.run("return bars")
    assert {*bars} == {f"Progress of {name}" for name in SHOWN}
    for name, drawn in bars.items():
        percents = [int(percent) for percent, _sure in drawn if percent is not None]
        widths = [float(sure.removesuffix("%")) for _percent, sure in drawn]
        assert percents == sorted(percents), name
        assert widths == sorted(widths), name
        assert len(set(percents)) >= 3, name

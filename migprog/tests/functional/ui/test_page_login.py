# SPDX-License-Identifier: Apache-2.0
"""Signing in to the page in a real Chromium, by a real Keystone."""

import pathlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab.browser import Browser
from lab.parts import keystone, processes
from lab.parts.keystone import PASSWORD, Keystone, of_project
from migprog.tests import access, stores
from migprog.tests.functional.test_keystone import serving

pytestmark = pytest.mark.functional

_SERVER = str(uuid.UUID(int=1))
# Enough to sign in on a busy machine.
_BRIEF_SECONDS = 20
_USERS = {"an-owner": "manager", "an-admin": "admin"}


@dataclass(frozen=True)
class Cloud:
    """``page``: where only tokens are accepted; ``page_by_password``: where passwords are, too."""

    keystone: Keystone
    page: str
    page_by_password: str

    def token(self, user: str) -> str:
        return self.keystone.token(user, of_project("red"))


@pytest.fixture(scope="module")
def cloud(
    keystone_files: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("cloud")
    database = f"sqlite:///{directory / 'migprog.sqlite'}"
    one, other = processes.free_ports(2)
    with keystone.serving(keystone_files, keystone_files) as identity:
        red, service = identity.new_project("red"), identity.new_project("service")
        for user, role in _USERS.items():
            identity.new_user(user, role, red)
        identity.new_user("migprog", "service", service)
        identity.new_endpoint("identity", identity.url)
        store = stores.ready(database)
        access.fill(store, _SERVER, red)
        store.close()
        known = identity.authtoken()
        (folder := directory / "password").mkdir()
        by_password = known + "\n[api]\nui_password_login = true\nallow_actions = false\n"
        with (
            serving(directory, database, known, one) as api,
            serving(folder, database, by_password, other) as api_by_password,
        ):
            yield Cloud(identity, f"{api}/ui/", f"{api_by_password}/ui/")


@pytest.fixture(autouse=True)
def _new_page(browser: Browser) -> None:
    browser.open("about:blank")


def _sign_in_by_token(browser: Browser, page: str, token: str) -> None:
    browser.open(page)
    browser.wait_for("input[name=token]").send_keys(token)
    browser.click("button[type=submit]")


def test_token_shows_what_its_user_may_see(
    cloud: Cloud, browser: Browser, picture: Callable[[Browser, str], pathlib.Path]
) -> None:
    browser.open(cloud.page)
    browser.wait_for(".sign-in")
    assert not browser.find(".kinds"), "no password may be given"
    assert browser.barriers() == []
    picture(browser, "sign-in")
    _sign_in_by_token(browser, cloud.page, cloud.token("an-owner"))
    browser.wait_for(".row .server", _SERVER)
    assert browser.texts(".top nav a") == ["Now 1", "Ended"]
    assert access.HOST not in browser.texts("body")[0]
    browser.click("button", "Sign out")
    browser.wait_for("input[name=token]")
    _sign_in_by_token(browser, cloud.page, cloud.token("an-admin"))
    browser.wait_for(".row .route", access.HOST)
    assert browser.texts(".top nav a") == ["Now 1", "Hosts", "Ended"]
    assert browser.faults() == []


def test_token_is_gone_when_the_page_is_loaded_again(cloud: Cloud, browser: Browser) -> None:
    _sign_in_by_token(browser, cloud.page, cloud.token("an-admin"))
    browser.wait_for(".row")
    kept = "return [localStorage.length, sessionStorage.length, document.cookie, location.href]"
    assert browser.run(kept) == [0, 0, "", f"{cloud.page}"]
    browser.driver.refresh()
    browser.wait_for("input[name=token]")
    assert not browser.find(".row")


@pytest.mark.long
def test_token_that_expires_is_asked_for_again_and_what_was_shown_stays(
    cloud: Cloud, browser: Browser, keystone_files: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with keystone.serving(keystone_files, tmp_path, expiration_seconds=_BRIEF_SECONDS) as identity:
        token = identity.token("an-admin", of_project("red"))
    _sign_in_by_token(browser, cloud.page, token)
    browser.click(".row .server", _SERVER)
    browser.wait_for(".facts.all")
    where = browser.run("return location.href")
    browser.wait_for("[role=alert]", "The token has expired or is not valid.", seconds=90)
    assert access.HOST not in browser.texts("body")[0], "nothing is shown without a token"
    browser.find("input[name=token]")[0].send_keys(cloud.token("an-admin"))
    browser.click("button[type=submit]")
    browser.wait_for(".facts.all", access.HOST)
    assert browser.run("return location.href") == where
    # What another user saw is not shown to the next one.
    browser.click("button", "Sign out")
    browser.wait_for("input[name=token]").send_keys(cloud.token("an-owner"))
    browser.click("button[type=submit]")
    browser.wait_for(".facts.all")
    assert access.HOST not in browser.texts("body")[0]
    assert [each for each in browser.faults() if " 401 " not in each] == []


@pytest.mark.long
def test_token_that_is_not_valid_is_refused(cloud: Cloud, browser: Browser) -> None:
    _sign_in_by_token(browser, cloud.page, "wrong")
    browser.wait_for("[role=alert]", "The token is not valid.")


@pytest.mark.long
def test_password_gives_a_token(cloud: Cloud, browser: Browser) -> None:
    browser.open(cloud.page_by_password)
    browser.wait_for(".kinds")
    assert browser.barriers() == []
    for name, value in {"user": "an-admin", "password": "wrong", "project": "red"}.items():
        browser.wait_for(f"input[name={name}]").send_keys(value)
    browser.click("button[type=submit]")
    browser.wait_for("[role=alert]", "Keystone refuses the user, password, domain or project.")
    browser.wait_for("input[name=password]").send_keys(PASSWORD)
    browser.click("button[type=submit]")
    browser.wait_for(".row .route", access.HOST)
    # 401 of the wrong password is on the console, as it should be.
    assert [each for each in browser.faults() if " 401 " not in each] == []

# SPDX-License-Identifier: Apache-2.0
"""A real Chromium without a screen, driven as a user would: Debian's chromium and its driver.

It notes all that a page must not do: errors on the console, uncaught errors, and what the
Content-Security-Policy has refused.
"""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from lab.parts import processes

DESKTOP, PHONE = (1280, 860), (390, 844)
_PROGRAM, _DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_AXE = pathlib.Path(__file__).parent / "axe-core/axe.min.js"
_SECONDS = 30.0
# Runs before anything of a page does.
_NOTE = """
window.noted = [];
addEventListener("securitypolicyviolation", (event) =>
  noted.push(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
addEventListener("error", (event) => noted.push(`error: ${event.message}`));
addEventListener("unhandledrejection", (event) => noted.push(`rejection: ${event.reason}`));
"""
_FIND = """
const [css, text] = arguments;
return [...document.querySelectorAll(css)].find((each) => each.textContent.includes(text)) ?? null;
"""
# What the network does is seen on the console; an API that is down is no fault of the page.
_OF_NETWORK = ("net::ERR_CONNECTION", "net::ERR_EMPTY_RESPONSE", "net::ERR_INCOMPLETE")


class Browser:
    """A window of Chromium. Methods that wait raise :class:`TimeoutError` after half a minute."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._command("Page.addScriptToEvaluateOnNewDocument", source=_NOTE)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def find(self, css: str) -> list[WebElement]:
        """Return the elements that a selector selects now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def run(self, script: str, *values: Any) -> Any:
        """Return what a body of a function in the page returns; ``arguments`` has the values."""
        return self.driver.execute_script(script, *values)

    def texts(self, css: str) -> list[str]:
        """Return the texts of elements, all of one moment."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.trim())",
            css,
        )
        return found

    def wait_for(self, css: str, text: str = "", seconds: float = _SECONDS) -> WebElement:
        """Return the first element that a selector selects and whose text has ``text``."""

        found: WebElement = processes.wait_for(
            lambda: self.run(_FIND, css, text), seconds, f"{text!r} in {css}"
        )
        return found

    def wait_for_none(self, css: str, seconds: float = _SECONDS) -> None:
        processes.wait_for(lambda: not self.texts(css), seconds, f"{css} to be gone")

    def click(self, css: str, text: str = "") -> None:
        """Click the middle of an element, as a user would; what is drawn over it is a failure."""
        while True:
            # It may be drawn again between both.
            with contextlib.suppress(StaleElementReferenceException):
                return self.wait_for(css, text).click()

    def resize(self, size: tuple[int, int]) -> None:
        """Set the size of what is seen, in CSS pixels, as on a device of this size."""
        width, height = size
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def prefer(self, **features: str) -> None:
        """Set what the user prefers: ``prefers_color_scheme="dark"``."""
        named = [{"name": n.replace("_", "-"), "value": value} for n, value in features.items()]
        self._command("Emulation.setEmulatedMedia", features=named)

    def picture(self, path: pathlib.Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(self.driver.get_screenshot_as_png())

    def faults(self) -> list[str]:
        """Return what the page must not have done since it was loaded."""
        logged = [
            each["message"]
            for each in self.driver.get_log("browser")
            if not any(known in each["message"] for known in _OF_NETWORK)
        ]
        return [*self.run("return window.noted ?? []"), *logged]

    def barriers(self) -> list[str]:
        """Return what axe-core finds serious or critical for people who cannot use a page as others
        do: a line for each."""
        self.run(_AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document).then((found) => done(JSON.stringify(found.violations)), done)"
        )
        return [
            f"{each['id']}: {node['html'][:200]}: {node['failureSummary']}"
            for each in json.loads(found)
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def _command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)


@contextlib.contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A browser with a profile of its own; ``arguments`` of Chromium besides."""
    options = Options()
    options.binary_location = _PROGRAM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="migprog-chromium-") as profile:
        for each in (
            *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", "--hide-scrollbars", "--force-color-profile=srgb"),
            # Of root, as tests are run: Chromium has no sandbox for it.
            *("--no-sandbox", f"--user-data-dir={profile}", *arguments),
        ):
            options.add_argument(each)
        driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
        try:
            browser = Browser(driver)
            browser.resize(DESKTOP)
            yield browser
        finally:
            driver.quit()

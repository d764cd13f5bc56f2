# SPDX-License-Identifier: Apache-2.0
"""A browser, and where its pictures go."""

import os
import pathlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from lab import browser as browsers
from lab.browser import DESKTOP, Browser

# A folder for the pictures of the manual: doc/source/images. Unset: they are made and thrown away.
PICTURES = "MIGPROG_PAGE_PICTURES"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.chromium() as opened:
        yield opened


def show(browser: Browser, page: str) -> None:
    """Show the running migrations, whatever the last test has left."""
    browser.resize(DESKTOP)
    browser.prefer(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    browser.open("about:blank")
    browser.open(page)
    browser.wait_for(".row .verdict")


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Browser, str], pathlib.Path]:
    """Takes a picture of what a browser shows, by a name."""
    folder = pathlib.Path(os.environ.get(PICTURES) or tmp_path_factory.mktemp("pictures"))

    def take(browser: Browser, name: str) -> pathlib.Path:
        path = folder / f"page-{name}.png"
        browser.picture(path)
        assert path.stat().st_size > 5000, "there is something on it"
        # A third of the size, and hardly another picture.
        with Image.open(path) as taken:
            small = taken.convert("RGB").quantize(128, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        return path

    return take

"""The page in a real browser, on top of the real processes with the example."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, async_playwright

from orders.events import Press
from tests.browser.tabs import FLAGS
from tests.support.dev import Development

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = ROOT / ".cache" / "screenshots"
CHROMIUM: Final = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


def need_chromium() -> None:
    """Skip where there is none, but in CI fail."""
    if CHROMIUM is None:
        if "CI" in os.environ:
            pytest.fail("there is no Chromium: .ci/run installs it")
        pytest.skip("there is no Chromium on this machine (on Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """One installation with the example, for all tests of a module."""
    need_chromium()
    one = Development(tmp_path_factory.mktemp("shop"))
    try:
        yield one.start()
    finally:
        if one.is_running:
            one.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page; what it writes to the console as an error fails the test."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    await context.close()
    assert not faults


@pytest.fixture
async def press(shop: Development) -> AsyncIterator[Press]:
    """Publishes domain events, each acknowledged, with the credentials of a domain team."""
    press = await Press.connect(shop.nats)
    yield press
    await press.close()

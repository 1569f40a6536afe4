"""The page in a real browser, on top of the real processes with the example."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from orders.events import Press
from tests.browser.networks import CHROMIUM, Absent
from tests.browser.tabs import FLAGS
from tests.support.dev import Development

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = ROOT / ".cache" / "screenshots"

OpenWindow = Callable[..., Awaitable[Page]]


@contextmanager
def what_is_installed() -> Iterator[None]:
    """Skip where a program is missing, and say what to install; in CI nothing may be missing."""
    try:
        yield
    except Absent as absent:
        if "CI" in os.environ:
            pytest.fail(f"{absent}: .ci/run installs it")
        pytest.skip(str(absent))


def need_chromium() -> str:
    """Return where it is."""
    with what_is_installed():
        return CHROMIUM.path()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """One installation with the example, for all tests of a module."""
    need_chromium()
    # A busy machine is no strain of the edge's: it would ask the pages to poll.
    one = Development(tmp_path_factory.mktemp("shop"), WHIMBREL_EDGE_BROWNOUT_LAG_S="60")
    try:
        yield one.start()
    finally:
        if one.is_running:
            one.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium, for all tests of a module: each of them opens a profile of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=need_chromium(),
            args=list(FLAGS),
            ignore_default_args=["--disable-back-forward-cache"],  # a user's browser has one
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def open_window(browser: Browser) -> AsyncIterator[OpenWindow]:
    """Return a function that opens an empty page in a profile of its own.

    What a page writes to the console as an error fails the test. Nothing moves by itself: without a GPU, to paint what
    moves takes three times the CPU of all else.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    async def open_window(**options: Any) -> Page:
        context = await browser.new_context(reduced_motion="reduce", **options)
        contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        return page

    yield open_window
    for context in contexts:
        await context.close()
    assert not faults


@pytest_asyncio.fixture(loop_scope="module")
async def page(open_window: OpenWindow) -> Page:
    """An empty page."""
    return await open_window(viewport={"width": 1440, "height": 900}, color_scheme="light")


@pytest_asyncio.fixture(loop_scope="module")
async def press(shop: Development) -> AsyncIterator[Press]:
    """Publishes domain events, each acknowledged, with the credentials of a domain team."""
    press = await Press.connect(shop.nats)
    yield press
    await press.close()

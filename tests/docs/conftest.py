"""The browser of somebody who follows the pages."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright

from tests.browser.conftest import need_chromium
from tests.browser.tabs import FLAGS


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """An empty page."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=need_chromium(), args=list(FLAGS))
        yield await browser.new_page()
        await browser.close()

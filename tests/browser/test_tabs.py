"""Tabs of one browser share a connection: in real Chromium, with its Web Locks and BroadcastChannels."""

import asyncio

import pytest
from playwright.async_api import Browser, Page, WebSocket, expect

from orders.events import Press
from tests.browser.test_board import expect_notes, note, open_as
from tests.support.dev import Development


class Tabs:
    """Pages of one browser, and the sockets that each has open."""

    def __init__(self, browser: Browser, shop: Development) -> None:
        self._browser = browser
        self._shop = shop
        self._context = browser.new_context(viewport={"width": 1000, "height": 800})
        self.pages: list[Page] = []
        self.sockets: dict[Page, set[WebSocket]] = {}

    async def open(self, user: str) -> Page:
        if not self.pages:
            self._opened = await self._context
        page = await self._opened.new_page()
        sockets = self.sockets.setdefault(page, set())

        def opened(socket: WebSocket) -> None:
            sockets.add(socket)
            socket.on("close", lambda _: sockets.discard(socket))

        page.on("websocket", opened)
        self.pages.append(page)
        await open_as(page, self._shop, user)
        return page

    def holder(self) -> Page:
        """Return the one page that has a socket."""
        [page] = [page for page in self.pages if self.sockets[page]]
        return page

    async def close(self, page: Page, *, crash: bool = False) -> None:
        self.pages.remove(page)
        if crash:
            # The renderer dies without a word: no `pagehide`, no close frame.
            session = await page.context.new_cdp_session(page)
            dying = asyncio.ensure_future(session.send("Page.crash"))
            await asyncio.wait([dying], timeout=5)
            dying.cancel()
        else:
            await page.close(run_before_unload=False)


@pytest.mark.parametrize("crash", [False, True], ids=["closed", "crashed"])
async def test_tabs_hold_one_socket_and_hand_it_over_without_a_gap(
    crash: bool, browser: Browser, shop: Development, press: Press
) -> None:
    name = "crashed" if crash else "closed"
    tabs = Tabs(browser, shop)
    for _ in range(3):
        await tabs.open("alice")
    ids = await note(press, name, range(1, 11))
    for page in tabs.pages:
        await expect_notes(page, name, ids)
    first = tabs.holder()
    await expect(first.get_by_test_id("transport")).to_have_text("WebSocket")
    for page in tabs.pages:
        if page is not first:
            await expect(page.get_by_test_id("transport")).to_have_text("WebSocket · through another tab")

    publishing = asyncio.ensure_future(note(press, name, range(11, 61)))
    await tabs.close(first, crash=crash)
    ids += await publishing
    for page in tabs.pages:
        await expect_notes(page, name, ids)
        await expect(page.get_by_test_id("repeated")).to_have_text("0")
        await expect(page.get_by_test_id("missed")).to_have_text("0")
        assert "disconnected" not in await page.get_by_test_id("log").inner_text()
    assert tabs.holder() is not first


async def test_users_of_one_browser_have_a_socket_each(browser: Browser, shop: Development, press: Press) -> None:
    tabs = Tabs(browser, shop)
    alice, bob = await tabs.open("alice"), await tabs.open("bob")
    await note(press, "private", range(1, 4), users=["bob"])
    await expect(bob.locator('[data-testid="inbox"] [data-event-id^="private-"]')).to_have_count(3)
    assert [len(tabs.sockets[page]) for page in (alice, bob)] == [1, 1]
    assert await alice.locator('[data-event-id^="private-"]').count() == 0


async def test_a_tab_that_is_to_be_frozen_hands_the_socket_over_and_comes_back_without_a_gap(
    browser: Browser, shop: Development, press: Press
) -> None:
    tabs = Tabs(browser, shop)
    for _ in range(2):
        await tabs.open("alice")
    frozen = tabs.holder()
    [other] = [page for page in tabs.pages if page is not frozen]
    # Headless Chromium never freezes a page: it is told what a browser would tell it.
    await frozen.evaluate("document.dispatchEvent(new Event('freeze'))")
    ids = await note(press, "frozen", range(1, 21))
    await expect_notes(other, "frozen", ids)
    await frozen.evaluate("document.dispatchEvent(new Event('resume'))")
    await expect(frozen.get_by_test_id("transport")).to_have_text("WebSocket · through another tab")
    await expect_notes(frozen, "frozen", ids)
    assert tabs.holder() is other

"""What a newcomer sees, in a real browser: every event once, live and after an absence, whatever carries it."""

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import pytest
from playwright.async_api import Page, Route, WebSocket, expect

from orders.events import BOARD, Event, Press
from tests.browser.conftest import SCREENSHOTS, OpenWindow
from tests.support.dev import Development

PATIENCE_MS: Final = 15_000
SILENCE_MS = 60_000  # a link that broke without a word is found after ping + pong, and then replaced
CARRIERS: Final = {"websocket": "WebSocket", "sse": "event stream", "poll": "long-poll"}
expect.set_options(timeout=PATIENCE_MS)
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def open_as(page: Page, shop: Development, user: str) -> None:
    """Sign in, and wait until the board is there."""
    await page.goto(page_of(shop))
    await page.get_by_test_id(f"sign-in-{user}").click()
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    await expect(page.locator(".card").first).to_be_visible()


def page_of(shop: Development) -> str:
    return str(shop.running["demo"])


async def note(press: Press, name: str, numbers: range, **audience: Any) -> list[str]:
    """Publish one event per number; return their ids."""
    audience = audience or {"channels": [BOARD]}
    ids = [f"{name}-{number}" for number in numbers]
    for number, event_id in zip(numbers, ids, strict=True):
        subject = f"events.shop.note.{name}"  # one subject: what is published in turn arrives in turn
        await press.publish(Event(subject, "note.made", event_id, name, {"number": number}, **audience))
    return ids


async def logged(page: Page, name: str) -> list[str]:
    """Return the ids of the notes in the log, oldest first."""
    rows = page.locator(f'[data-testid="log"] [data-event-id^="{name}-"]')
    ids = await rows.evaluate_all("rows => rows.map(row => row.dataset.eventId)")
    return list(reversed(ids))


async def expect_notes(page: Page, name: str, ids: list[str], *, patience_ms: float = SILENCE_MS) -> None:
    """Expect each note exactly once, in order."""
    newest = page.locator(f'[data-testid="log"] [data-event-id="{ids[-1]}"]')
    await expect(newest).to_have_count(1, timeout=patience_ms)
    assert await logged(page, name) == ids


async def picture(page: Page, name: str) -> Path:
    path = SCREENSHOTS / f"{name}.png"
    await page.screenshot(path=path)
    return path


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_each_event_arrives_once_live_and_after_an_absence(
    transport: str, page: Page, shop: Development, press: Press
) -> None:
    if transport == "sse":
        await page.add_init_script("delete window.WebSocket")
    await open_as(page, shop, "alice")
    if transport == "poll":
        await page.get_by_test_id("transport-poll").click()
    await expect(page.get_by_test_id("transport")).to_have_text(CARRIERS[transport])

    ids = await note(press, transport, range(1, 13))
    await expect_notes(page, transport, ids)

    await page.get_by_test_id("go-offline").click()
    await expect(page.get_by_test_id("state")).to_have_text("Offline")
    missed = await note(press, transport, range(13, 38))
    assert await logged(page, transport) == ids

    await page.get_by_test_id("go-offline").click()
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    await expect_notes(page, transport, ids + missed)
    for row in await page.locator(f'[data-testid="absence"] [data-event-id^="{transport}-"]').all():
        assert await row.get_attribute("data-away") is not None
    await expect(page.get_by_test_id("absence").first).to_contain_text(re.compile(r"\d+ events, each exactly once"))

    after = await note(press, transport, range(38, 41))
    await expect_notes(page, transport, ids + missed + after)
    await expect(page.get_by_test_id("repeated")).to_have_text("0")
    await expect(page.get_by_test_id("missed")).to_have_text("0")
    await picture(page, f"back-by-{transport}")


async def test_what_is_told_while_the_shop_answers_is_not_lost_to_an_older_answer(
    page: Page, shop: Development, press: Press
) -> None:
    answered, told = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        answered.set()
        await told.wait()
        await route.fulfill(response=answer)

    await page.route("**/orders", late)
    await page.goto(page_of(shop))
    await page.get_by_test_id("sign-in-alice").click()
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    async with asyncio.timeout(PATIENCE_MS / 1000):
        await answered.wait()
    order = {"order": "late", "customer": "alice", "item": "Wool socks", "total": 18, "status": "placed", "version": 1}
    await press.publish(Event("events.shop.order.late", "order.placed", "late-1", "late", order, channels=[BOARD]))
    await expect(page.locator('[data-testid="log"] [data-event-id="late-1"]')).to_have_count(1)
    await expect(page.locator(".card")).not_to_have_count(0)
    told.set()
    await expect(page.locator(".card").nth(3)).to_be_visible()  # the shop's own are there
    await expect(page.locator('.card[data-order="late"]')).to_have_count(1)


async def test_transports_change_while_events_come(page: Page, shop: Development, press: Press) -> None:
    await open_as(page, shop, "alice")
    ids: list[str] = []
    for transport in ("sse", "poll", "websocket", "auto"):
        await page.get_by_test_id(f"transport-{transport}").click()
        ids += await note(press, "moved", range(len(ids) + 1, len(ids) + 6))
        await expect(page.get_by_test_id("transport")).to_have_text(CARRIERS.get(transport, "WebSocket"))
        await expect_notes(page, "moved", ids)
    await expect(page.get_by_test_id("connects")).to_contain_text("opened 1×")


async def test_what_is_written_and_watched_outlives_an_absence(
    open_window: OpenWindow, page: Page, shop: Development
) -> None:
    await open_as(page, shop, "alice")
    await expect(page.get_by_test_id("presence")).to_have_text("unavailable (108)")
    others = await open_window(viewport={"width": 390, "height": 844}, color_scheme="dark")
    await open_as(others, shop, "bob")
    text, watched = page.get_by_test_id("note-text"), page.get_by_test_id("watched-live")
    notes = page.get_by_test_id("notes").locator("li")
    await text.fill("Ring the bell")
    await text.press("Enter")
    await expect(notes.first).to_contain_text(re.compile(r"^AliceRing the bellacknowledged, #\d+", re.IGNORECASE))
    await expect(watched).to_have_text("by push")

    await page.get_by_test_id("go-offline").click()
    await text.fill("Written in a tunnel")
    await text.press("Enter")
    await expect(notes.first).to_contain_text("waits for the line")
    await expect(watched).to_have_text("by polling")
    await expect(others.get_by_test_id("notes")).not_to_contain_text("Written in a tunnel")

    await page.get_by_test_id("go-offline").click()
    await expect(notes.first).to_contain_text("acknowledged, #")
    await expect(watched).to_have_text("by push")
    await expect(others.get_by_test_id("notes").locator("li", has_text="Written in a tunnel")).to_have_count(1)
    await expect(page.get_by_test_id("saved")).to_contain_text(re.compile(r"^[1-9]\d* requests? and"))
    await picture(others, "phone")


@pytest.mark.parametrize("tabs", ["shared", "apart"])
async def test_a_page_comes_back_out_of_the_browsers_cache_as_if_it_had_never_left(
    tabs: str, page: Page, shop: Development, press: Press
) -> None:
    if tabs == "apart":
        await page.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    await open_as(page, shop, "alice")
    ids = await note(press, f"cached-{tabs}", range(1, 4))
    await expect_notes(page, f"cached-{tabs}", ids)
    await page.evaluate("window.kept = true")
    await page.goto(f"{page_of(shop)}/style.css")
    ids += await note(press, f"cached-{tabs}", range(4, 7))

    await page.go_back(wait_until="commit")  # what comes out of the cache does not load
    ids += await note(press, f"cached-{tabs}", range(7, 10))
    await expect_notes(page, f"cached-{tabs}", ids)
    assert await page.evaluate("window.kept"), "the browser loaded it anew"
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    await expect(page.get_by_test_id("repeated")).to_have_text("0")
    await expect(page.get_by_test_id("missed")).to_have_text("0")


async def test_a_dropped_socket_costs_nothing(page: Page, shop: Development, press: Press) -> None:
    await open_as(page, shop, "alice")
    ids = await note(press, "drop", range(1, 6))
    await page.get_by_test_id("drop-socket").click()
    ids += await note(press, "drop", range(6, 16))
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    await expect_notes(page, "drop", ids)


async def test_a_browser_without_a_network_finds_out_by_itself(page: Page, shop: Development, press: Press) -> None:
    await open_as(page, shop, "alice")
    await page.context.set_offline(True)
    ids = await note(press, "cable", range(1, 11))
    await page.context.set_offline(False)
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    await expect_notes(page, "cable", ids)


async def test_two_users_and_a_group_each_see_their_own(
    open_window: OpenWindow, page: Page, shop: Development, press: Press
) -> None:
    await open_as(page, shop, "alice")
    others = await open_window(viewport={"width": 800, "height": 1000})
    await open_as(others, shop, "bob")

    await note(press, "for-bob", range(1, 4), users=["bob"])
    await expect(others.locator('[data-testid="inbox"] [data-event-id^="for-bob-"]')).to_have_count(3)
    await others.get_by_test_id("vip-toggle").click()
    await expect(others.get_by_test_id("vip-toggle")).to_have_attribute("aria-checked", "true")
    await expect(others.get_by_test_id("vip-members")).to_contain_text("bob")
    await expect(page.get_by_test_id("vip-members")).to_contain_text("bob")  # in windows of others too
    await note(press, "for-vips", range(1, 3), groups=["vip"])
    await expect(others.locator('[data-testid="vip"] [data-event-id^="for-vips-"]')).to_have_count(2)

    await others.get_by_test_id("vip-toggle").click()
    await expect(others.get_by_test_id("vip-toggle")).to_have_attribute("aria-checked", "false")
    await note(press, "for-vips", range(3, 5), groups=["vip"])
    last = await note(press, "for-all", range(1, 2))
    for each in (page, others):
        await expect(each.locator(f'[data-testid="log"] [data-event-id="{last[0]}"]')).to_have_count(1)
    assert await logged(others, "for-vips") == ["for-vips-1", "for-vips-2"]
    assert await logged(page, "for-vips") == []
    assert await logged(page, "for-bob") == []


async def test_what_is_no_order_of_the_shop_is_shown_as_it_came(page: Page, shop: Development, press: Press) -> None:
    await open_as(page, shop, "alice")
    data = {"carrier": "<img src=x onerror=alert(1)>", "note": "n" * 500}
    audience: dict[str, Any] = {"users": ["alice"], "channels": [BOARD]}
    for number, payload in enumerate((data, {"order": "42", "status": "lost"}, "just words", None)):
        await press.publish(
            Event("events.shop.order.42", "order.shipped", f"odd-{number}", "42", cast(Any, payload), **audience)
        )
    inbox = page.locator('[data-testid="inbox"] [data-event-id="odd-0"]')
    board = page.locator('[data-testid="log"] [data-channel="orders:board"][data-event-id="odd-3"]')
    await expect(board).to_contain_text("order.shipped")
    await expect(inbox).to_contain_text('order.shipped {"carrier":"<img src=x onerror=alert(1)>","note":"nnn')
    await expect(inbox).to_contain_text("…")
    for panel in ("log", "inbox", "board"):
        assert "undefined" not in await page.get_by_test_id(panel).inner_text()
    await expect(page.locator('.card[data-order="42"]')).to_have_count(0)
    assert await page.locator(".stage img[src=x]").count() == 0


async def test_a_user_whom_the_shop_does_not_know_is_told_so_once(page: Page, shop: Development) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    await page.goto(f"{page_of(shop)}/?user=mallory")
    await expect(page.get_by_test_id("refused")).to_have_text("The shop knows no “mallory”: sign in as Alice or Bob.")
    await page.get_by_test_id("sign-in-alice").click()
    await expect(page.get_by_test_id("state")).to_have_text("Connected")
    assert len([body for body in asked if "mallory" in body]) == 1


@pytest.mark.parametrize("transport", ["websocket", "poll"])
async def test_a_cut_line_is_told_in_words(transport: str, page: Page, shop: Development) -> None:
    await open_as(page, shop, "alice")
    if transport == "poll":
        await page.get_by_test_id("transport-poll").click()
        await expect(page.get_by_test_id("transport")).to_have_text("long-poll")
    await page.get_by_test_id("go-offline").click()
    await expect(page.get_by_test_id("why")).to_contain_text(re.compile(r"^the line is cut · again in [\d.]+ s$"))
    assert "TypeError" not in await page.get_by_test_id("log").inner_text()


async def test_unread_counts_more_than_is_shown_and_is_the_same_on_all_devices(
    open_window: OpenWindow, page: Page, shop: Development, press: Press
) -> None:
    await open_as(page, shop, "bob")
    await page.get_by_test_id("mark-read").click()
    ids = await note(press, "many", range(1, 61), users=["bob"])
    await expect(page.locator(f'[data-testid="inbox"] [data-event-id="{ids[-1]}"]')).to_have_count(1)
    await expect(page.locator('[data-testid="inbox"] li')).to_have_count(40)
    await expect(page.get_by_test_id("unread")).to_have_text(re.compile(r"^[6-9]\d$"))

    another_device = await open_window()
    await open_as(another_device, shop, "bob")
    last = another_device.locator(f'[data-testid="inbox"] [data-event-id="{ids[-1]}"]')
    await expect(last).to_have_class("unread")
    await page.get_by_test_id("mark-read").click()
    await expect(last).not_to_have_class("unread")
    await another_device.reload()
    await expect(last).not_to_have_class("unread")  # read, and shown all the same


@pytest.mark.parametrize("width", [1280, 1000])
async def test_a_pane_that_is_open_can_be_closed(width: int, page: Page, shop: Development) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await open_as(page, shop, "alice")
    await page.get_by_test_id("split").click()
    await expect(page.frame_locator("#second").get_by_test_id("state")).to_have_text("Connected")
    await picture(page, f"beside-{width}")
    await page.get_by_role("button", name="Close Bob's pane").click()
    await expect(page.locator("#second")).to_be_hidden()


async def test_two_users_stand_side_by_side(page: Page, shop: Development, press: Press) -> None:
    await page.set_viewport_size({"width": 1600, "height": 1000})
    await open_as(page, shop, "alice")
    await page.get_by_test_id("split").click()
    second = page.frame_locator("#second")
    await expect(second.get_by_test_id("state")).to_have_text("Connected")
    await second.get_by_test_id("item").focus()
    await expect(page.get_by_test_id("typing")).to_contain_text("is choosing an item")
    ids = await note(press, "both", range(1, 11))
    await expect_notes(page, "both", ids)
    await expect(second.locator(f'[data-testid="log"] [data-event-id="{ids[-1]}"]')).to_have_count(1)
    await picture(page, "side-by-side")


async def test_tabs_hold_one_socket_and_hand_it_over_without_a_gap(page: Page, shop: Development, press: Press) -> None:
    tabs = [page, await page.context.new_page(), await page.context.new_page()]
    sockets: dict[Page, set[WebSocket]] = {tab: set() for tab in tabs}
    for tab in tabs:
        tab.on("websocket", partial(keep, sockets[tab]))
        await open_as(tab, shop, "alice")
    ids = await note(press, "tabs", range(1, 11))
    for tab in tabs:
        await expect_notes(tab, "tabs", ids)

    [frozen] = [tab for tab in tabs if sockets[tab]]
    # Headless Chromium never freezes a page: it is told what a browser would tell it.
    await frozen.evaluate("document.dispatchEvent(new Event('freeze'))")
    ids += await note(press, "tabs", range(11, 31))
    await frozen.evaluate("document.dispatchEvent(new Event('resume'))")
    await expect(frozen.get_by_test_id("transport")).to_have_text("WebSocket · through another tab")
    for tab in tabs:
        await expect_notes(tab, "tabs", ids)

    [crashed] = [tab for tab in tabs if sockets[tab]]
    # Its renderer dies without a word: no `pagehide`, no close frame.
    session = await page.context.new_cdp_session(crashed)
    dying = asyncio.ensure_future(session.send("Page.crash"))
    await asyncio.wait([dying], timeout=5)  # it is not answered
    dying.cancel()
    ids += await note(press, "tabs", range(31, 61))
    for tab in tabs:
        if tab is not crashed:
            await expect_notes(tab, "tabs", ids)
            await expect(tab.get_by_test_id("repeated")).to_have_text("0")
            await expect(tab.get_by_test_id("missed")).to_have_text("0")


def keep(open_sockets: set[WebSocket], socket: WebSocket) -> None:
    open_sockets.add(socket)
    socket.on("close", lambda _: open_sockets.discard(socket))

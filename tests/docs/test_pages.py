"""Whoever follows the pages gets what they promise: each command is typed, each file is written, as it stands there."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page, expect

from orders.events import Event, Press
from tests.browser.conftest import need_chromium
from tests.docs.clone import Clone
from tests.docs.pages import blocks
from tests.support.waiting import Collected, within
from whimbrel.client import Client, Position

PATIENCE_S: Final = 60.0
PATIENCE_MS: Final = PATIENCE_S * 1_000
TUTORIAL: Final = blocks("tutorials/your-first-channel.md")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which the tutorial was followed until its page can be opened."""
    need_chromium()
    clone = Clone(tmp_path_factory.mktemp("clone"))
    try:
        for block in TUTORIAL[:5]:
            clone.do(block)
            if "make run" in block.text:
                assert clone.running  # the page says to wait for it
        clone.until(clone.answers, "the site answers")
        yield clone
    finally:
        clone.close()


async def test_the_tutorial_leads_to_a_page_that_shows_a_channel_live_and_after_an_absence(
    clone: Clone, page: Page
) -> None:
    live, away = TUTORIAL[5:]
    await page.goto(clone.site)
    events = page.locator("#events li")
    await expect(page.locator("#state")).to_have_text("connected", timeout=PATIENCE_MS)

    clone.do(live)
    await expect(events).to_have_text(['order.paid {"total":249}'], timeout=PATIENCE_MS)

    clone.do(away)
    missed = ["order.packed null", 'order.shipped {"carrier":"DHL"}']
    await expect(events).to_have_text(
        ['order.paid {"total":249}', *(f"{each}, read back" for each in missed)], timeout=PATIENCE_MS
    )

    await page.reload()
    await expect(events).to_have_text(
        [f"{each}, read back" for each in ['order.paid {"total":249}', *missed]], timeout=PATIENCE_MS
    )


async def test_the_guide_of_asyncio_follows_a_channel(printed: Collected[str], press: Press) -> None:
    follow = script("python-client.md", "follow.py")
    await publish(press, "order.paid")
    following = asyncio.create_task(follow["main"]())
    await printed.until(1, PATIENCE_S)
    await publish(press, "order.packed")
    assert await printed.until(2, PATIENCE_S) == ["order.paid {}", "order.packed {}"]
    following.cancel()
    await asyncio.wait([following])


async def test_the_guide_of_asyncio_asks(clone: Clone, printed: Collected[str], press: Press) -> None:
    await publish(press, "order.refunded", "78", users=["bob"])
    async with Client(clone.running["edge"], token=lambda: clone.token("bob")) as client:
        async with client.inbox() as inbox:
            assert (await within(anext(inbox), PATIENCE_S)).event == "order.refunded"
        await script("python-client.md", "requests.py")["ask"](client)
        assert "order.refunded {}" in printed.items


async def test_the_guide_of_asyncio_reloads_what_cannot_be_recovered(clone: Clone, press: Press) -> None:
    told = Collected[str]()

    async def reload() -> None:
        told.append("reloaded")

    names = {"apply": lambda publication: told.append(publication.event), "reload_everything": reload}
    follow = script("python-client.md", "reload.py", **names)["follow"]
    async with (
        Client(clone.running["edge"], token=lambda: clone.token("alice")) as client,
        client.subscribe(CHANNEL, position=Position(epoch="another", offset=1)) as orders,
    ):
        following = asyncio.create_task(follow(orders))
        await told.until(1, PATIENCE_S)
        await publish(press, "order.paid")
        assert await told.until(2, PATIENCE_S) == ["reloaded", "order.paid"]
        await client.close()
        await within(following)


async def test_the_guide_of_scripts_waits_and_goes_on_where_it_stopped(printed: Collected[str], press: Press) -> None:
    page = "python-in-scripts.md"
    await asyncio.to_thread(script, page, "digest.py")
    assert printed.items == []
    for event in ("order.shipped", "order.delivered"):
        await publish(press, event)
    await asyncio.to_thread(script, page, "wait.py")
    assert printed.items[-2:] == ["order.shipped {}", "order.delivered {}"]
    printed.items.clear()
    for _ in range(2):  # nothing twice
        await asyncio.to_thread(script, page, "digest.py")
    assert printed.items == ["order.shipped {}", "order.delivered {}"]
    await asyncio.to_thread(script, page, "ask.py")
    assert printed.items[-2:] == ["['order.shipped', 'order.delivered']", "permission_denied"]


async def test_the_guide_of_polling_reads_where_a_channel_stands(
    clone: Clone, printed: Collected[str], press: Press
) -> None:
    position = script("replace-polling.md", "position.py")["position"]
    assert re.fullmatch(r"orders:never=\w+\.\d+", await asyncio.to_thread(position, "orders:never"))
    channel, _, before = (await asyncio.to_thread(position, CHANNEL)).partition("=")
    async with Client(clone.running["edge"], token=lambda: clone.token("alice")) as client:
        async with client.subscribe(channel) as orders:
            await publish(press, "order.paid")
            assert (await within(anext(orders), PATIENCE_S)).event == "order.paid"
        epoch, _, offset = before.partition(".")
        async with client.subscribe(channel, position=Position(epoch=epoch, offset=int(offset))) as orders:
            assert (await within(anext(orders), PATIENCE_S)).event == "order.paid"


# --- what the tests of Python have in common

CHANNEL: Final = "orders:77"  # for 42 of the pages, of which the tutorial tells all that happens


def script(page: str, name: str, **names: Any) -> dict[str, Any]:
    """Run a file of a page of docs/how-to, as it stands; return what it defines."""
    [text] = [block.text for block in blocks(f"how-to/{page}") if block.name == name]
    names["__name__"] = name
    exec(compile(text.replace("orders:42", CHANNEL), name, "exec"), names)
    return names


@pytest.fixture
def printed(clone: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Collected[str]:
    """What scripts print; they find the installation in their environment, and an empty working directory."""
    monkeypatch.setenv("WHIMBREL_EDGE", clone.running["edge"])
    monkeypatch.setenv("WHIMBREL_TOKEN", clone.token("alice"))
    monkeypatch.chdir(tmp_path)
    lines = Collected[str]()
    monkeypatch.setattr("builtins.print", lambda *words: lines.append(" ".join(map(str, words))))
    return lines


@pytest.fixture
async def press(clone: Clone) -> AsyncIterator[Press]:
    """Publishes events of the shop."""
    press = await Press.connect(clone.running["nats"])
    yield press
    await press.close()


async def publish(press: Press, event: str, order: str = "77", **audience: Any) -> None:
    await press.publish(Event(f"events.shop.order.{order}", event, uuid.uuid4().hex, order, {}, **audience))

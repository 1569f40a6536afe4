"""Tabs of a real browser: what the tests ask of any, and Chromium's."""

import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from playwright.async_api import Browser as ChromiumProcess
from playwright.async_api import BrowserContext, CDPSession, Page, Playwright, async_playwright

# Without a sandbox because CI is root in a container; without what would call home.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Tab(ABC):
    """One tab, in a profile of its own."""

    @abstractmethod
    async def go(self, url: str) -> None:
        """Load a page, and wait until it has loaded."""

    @abstractmethod
    async def call(self, function: str, *arguments: Any) -> Any:
        """Call a global function of the page, wait for what it returns, and return that."""

    @abstractmethod
    async def offline(self, offline: bool) -> None:
        """Let the browser believe that there is no network, or that it is back."""

    @abstractmethod
    async def close(self) -> None:
        """Close it as a user does."""


class Browser(ABC):
    """One process of a browser, for many tabs."""

    name: str
    version: str
    """The major one, once it has started."""

    @abstractmethod
    async def start(self) -> None:
        """Start it."""

    @abstractmethod
    async def stop(self) -> None:
        """End it with all its tabs."""

    @abstractmethod
    async def tab(self, *, proxy: str = "", script: str = "") -> Tab:
        """Open a tab; ``proxy`` (host:port) is asked for everything, ``script`` runs before any of the page's own."""

    @abstractmethod
    async def renderers(self) -> Sequence[int]:
        """Return the processes that run pages."""

    async def freeze(self) -> None:
        """Stop the processes of all pages, as a browser or a laptop does that falls asleep: no event tells them."""
        for pid in await self.renderers():
            os.kill(pid, signal.SIGSTOP)

    async def thaw(self) -> None:
        """Let them go on."""
        for pid in await self.renderers():
            os.kill(pid, signal.SIGCONT)


class Chromium(Browser):
    """By Playwright."""

    name = "Chromium"

    def __init__(self, program: str) -> None:
        self._program = program
        self._playwright: Playwright
        self._process: ChromiumProcess
        self._session: CDPSession

    async def start(self) -> None:
        self._playwright = await async_playwright().start()
        self._process = await self._playwright.chromium.launch(executable_path=self._program, args=list(FLAGS))
        self._session = await self._process.new_browser_cdp_session()
        self.version = self._process.version.partition(".")[0]

    async def stop(self) -> None:
        await self._process.close()
        await self._playwright.stop()

    async def tab(self, *, proxy: str = "", script: str = "") -> Tab:
        # By itself it goes to this machine directly, whatever the proxy.
        asked = {"proxy": {"server": proxy, "bypass": "<-loopback>"}} if proxy else {}
        context = await self._process.new_context(ignore_https_errors=True, **asked)  # type: ignore[arg-type]
        if script:
            await context.add_init_script(script)
        return ChromiumTab(context, await context.new_page())

    async def renderers(self) -> Sequence[int]:
        processes = (await self._session.send("SystemInfo.getProcessInfo"))["processInfo"]
        return [int(each["id"]) for each in processes if each["type"] == "renderer"]


class ChromiumTab(Tab):
    def __init__(self, context: BrowserContext, page: Page) -> None:
        self._context = context
        self._page = page

    async def go(self, url: str) -> None:
        await self._page.goto(url)

    async def call(self, function: str, *arguments: Any) -> Any:
        return await self._page.evaluate(f"window.{function}(...{json.dumps(arguments)})")

    async def offline(self, offline: bool) -> None:
        await self._context.set_offline(offline)

    async def close(self) -> None:
        await self._context.close()

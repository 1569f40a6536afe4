"""Each browser in each network: every event arrives once and in order, by the transport that gets through.

On a developer's machine Firefox goes through the cells in which browsers differ; in CI, and by `python -m
tests.browser.matrix`, through all of them.
"""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.cells import CELLS, Cell, an_installation, play
from tests.browser.conftest import what_is_installed
from tests.browser.firefox import Firefox
from tests.browser.networks import CHROMIUM, FIREFOX, Networks
from tests.browser.tabs import Browser, Chromium
from tests.edge.edges import Edge

IN_CI = "CI" in os.environ
TELLING = [cell for cell in CELLS if IN_CI or cell.telling]
Installation = tuple[Edge, Networks]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with an_installation(tmp_path_factory.mktemp("networks")) as installation:
        yield installation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(installation: Installation) -> AsyncIterator[Browser]:
    """Ends before the edge does, which waits for the connections that a browser keeps."""
    with what_is_installed():
        browser = Chromium(CHROMIUM.path())
    await browser.start()
    yield browser
    await browser.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firefox(installation: Installation) -> AsyncIterator[Browser]:
    with what_is_installed():
        browser = Firefox(FIREFOX.path())
    await browser.start()
    yield browser
    await browser.stop()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.title)
async def test_chromium_gets_each_event_once(cell: Cell, installation: Installation, chromium: Browser) -> None:
    with what_is_installed():
        await play(cell, *installation, chromium)


@pytest.mark.parametrize("cell", TELLING, ids=lambda cell: cell.title)
async def test_firefox_gets_each_event_once(cell: Cell, installation: Installation, firefox: Browser) -> None:
    with what_is_installed():
        await play(cell, *installation, firefox)

"""What a browser goes through in each network, and what came of it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.browser.networks import HOST, Networks, free_ports, origins
from tests.browser.tabs import Browser, Tab
from tests.edge.edges import Edge, an_edge, eventually
from tests.edge.neighbours import Neighbours, a_name, declare
from tests.support.nats import NatsServer
from tests.support.waiting import within
from whimbrel.cli.chaos import ChaosProxy, Network

PING_S: Final = 3  # the edge's, shorter than in production so that what waits for a heartbeat does not wait long
PONG_S: Final = 2
PATIENCE_S: Final = 90.0
GONE_S: Final = PING_S + PONG_S + 15.0  # … on a busy machine: what is never let go of is not gone then either
BATCH: Final = 5
GOOD: Final = Network()
STRAIN: Final = {"brownout_after_s": 0, "brownout_calm_s": 1, "brownout_spread_s": 1, "brownout_poll_s": 2}
STRAINED_S: Final = 100.0  # late: more than any edge of the tests bears

# The page's time runs faster, from `hasten` until the client asks what to use: that is half a minute to one and a half.
HASTE: Final = """
let factor = 1, base = 0, began = 0;
const wall = Date.now.bind(Date), later = setTimeout.bind(window), ask = fetch.bind(window);
const turn = (by) => ((base = Date.now()), (began = wall()), (factor = by));
Date.now = () => (began ? base + (wall() - began) * factor : wall());
window.setTimeout = (call, ms) => later(call, ms / factor);
window.fetch = (url, init) => (String(url).endsWith("/v1/transports") && turn(1), ask(url, init));
window.hasten = (by) => void turn(by);
"""


@dataclass(frozen=True)
class Outcome:
    """What a cell has shown."""

    first_ms: int
    """From `new Whimbrel(…)` to the first event."""
    again_ms: int | None = None
    """… after a reload of a page that remembers which transport worked."""
    gone_s: float | None = None
    """Until the edge had let go of the connection."""
    back_ms: int | None = None
    """From when the page could hear again until it was told all that it had missed."""


@dataclass
class Place:
    """An edge, what can be put in front of it, and a browser."""

    edge: Edge
    networks: Networks
    browser: Browser
    chaos: ChaosProxy


@asynccontextmanager
async def an_installation(folder: Path) -> AsyncIterator[tuple[Edge, Networks]]:
    """Run a bus and an edge until the end of the block, and whatever proxies are asked for."""
    server = NatsServer(folder / "bus").start()
    try:
        await declare(server)
        neighbours = Neighbours(server)
        await neighbours.open()
        with free_ports() as ports:
            settings = {"allowed_origins": origins(ports), "ping_s": PING_S, "pong_s": PONG_S, **STRAIN}
            async with an_edge(neighbours, **settings) as edge:
                networks = Networks(folder, ports, f"{HOST}:{edge.port}")
                try:
                    yield edge, networks
                finally:
                    await networks.stop()
        await neighbours.close()
    finally:
        server.kill()


@dataclass
class Reader:
    """One tab that follows a channel of its own, and what was published there."""

    place: Place
    channel: str
    edge: str = ""
    """Empty: the page's own origin."""
    url: str = ""
    proxy: str = ""
    script: str = ""
    tab: Tab = field(init=False)
    published: int = 0
    is_open: bool = False

    async def open(self) -> None:
        """Open the page; one event waits for it."""
        if not self.published:
            await self.publish(1)
        self.tab = await within(self.place.browser.tab(proxy=self.proxy, script=self.script), PATIENCE_S)
        self.is_open = True
        await self.begin()

    async def begin(self, transport: str = "auto") -> None:
        """Load the page, and follow the channel."""
        await within(self.tab.go(self.url), PATIENCE_S)
        token = self.place.edge.neighbours.token(self.channel.replace(":", "-"))
        options = {"transport": transport}
        await self.call("follow", {"edge": self.edge, "token": token, "channel": self.channel, "options": options})

    async def close(self) -> None:
        """Close the tab."""
        if self.is_open:
            self.is_open = False
            await within(self.tab.close(), PATIENCE_S)

    async def publish(self, count: int = BATCH) -> None:
        """Publish events, one after the other."""
        numbers = range(self.published + 1, self.published + count + 1)
        await self.place.edge.neighbours.publish(self.channel, *({"number": number} for number in numbers))
        self.published += count

    async def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the page."""
        return await within(self.tab.call(function, *arguments), PATIENCE_S)

    async def until(self, condition: str) -> None:
        """Wait until the page was told so much."""
        try:
            await self.call("until", condition)
        except TimeoutError:
            raise AssertionError(f"{condition}: {json.dumps(await self.call('told'))}") from None

    async def expect_all(self) -> dict[str, Any]:
        """Wait for the last event, and expect each event once and in order; return what the page was told."""
        await self.until(f"told.numbers.includes({self.published})")
        told: dict[str, Any] = await self.call("told")
        assert told["numbers"] == list(range(1, self.published + 1)), told
        assert told["resets"] == 0, told
        return told


Away = dict[str, Any]
"""How long it took the edge to notice (`gone_s`), and the page to be told all (`back_ms`): what an Outcome adds."""
Story = Callable[[Reader], Awaitable[Away]]


@dataclass(frozen=True)
class Cell:
    """One row of the table: what lies between the page and the edge, and what happens there."""

    title: str
    transport: str
    """The one that must win."""
    telling: bool = False
    """Browsers may well differ here."""
    site: str = ""
    """Of nginx (networks.SITES), which serves page and edge; empty: the edge is another origin."""
    proxy: str = ""
    """Of the browser: squid or mitmproxy."""
    front: str = ""
    """Of the edge: haproxy or chaos."""
    network: Network = GOOD
    """At chaos."""
    script: str = ""
    story: Story | None = None
    """Without one, a page that fell back is loaded once more, and uses at once what it remembers."""


async def play(cell: Cell, edge: Edge, networks: Networks, browser: Browser) -> Outcome:
    """Go through a cell. Raises AssertionError where an event is missing, comes twice or in another order."""
    slug = re.sub(r"\W+", "-", cell.title.lower())
    channel = f"orders:{a_name(slug)}"
    direct = f"http://{HOST}:{edge.port}"
    async with ChaosProxy(direct, network=cell.network) as chaos:
        reader = Reader(Place(edge, networks, browser, chaos), channel)
        reader.url = await networks.site(cell.site) if cell.site else await networks.page()
        reader.proxy = await networks.proxy(cell.proxy) if cell.proxy else ""
        reader.script = cell.script
        match cell.front:
            case "haproxy":
                reader.edge = await networks.haproxy()
            case "chaos":
                reader.edge = chaos.url
            case _:
                reader.edge = "" if cell.site else direct
        try:
            await reader.open()
            await reader.expect_all()
            await reader.publish()
            told = await reader.expect_all()
            first_ms = told["firstMs"]
            assert told["firstBy"] == cell.transport, told
            if cell.story is not None:
                return Outcome(first_ms, **await cell.story(reader))
            if cell.transport == "websocket":
                return Outcome(first_ms)
            await reader.begin()
            told = await reader.expect_all()
            assert told["firstBy"] == cell.transport, told
            assert told["sockets"] == 0, told
            return Outcome(first_ms, again_ms=told["firstMs"])
        finally:
            await reader.close()


async def is_cut(reader: Reader) -> Away:
    """Publish whenever the proxy has cut the line; that is no reason to try another transport."""
    for connects in (2, 3):
        await reader.until(f"client.counters.connects >= {connects}")
        await reader.publish()
    told = await reader.expect_all()
    assert told["sockets"] == told["counters"]["connects"], told
    assert told["transport"] == "websocket", told
    return {}


async def loses_its_network(reader: Reader) -> Away:
    """Publish while nothing passes and nobody tells the edge."""
    place = reader.place
    place.chaos.network = Network(silent=True)
    await reader.tab.offline(True)
    await reader.publish()
    gone_s = await gone(place)
    await reader.publish()
    place.chaos.network = GOOD
    await reader.tab.offline(False)
    return {"gone_s": gone_s, "back_ms": await caught_up(reader)}


async def is_frozen(reader: Reader) -> Away:
    """Publish while the page's process stands still."""
    browser = reader.place.browser
    await browser.freeze()
    try:
        await reader.publish()
        gone_s = await gone(reader.place)
        await reader.publish()
    finally:
        await browser.thaw()
    return {"gone_s": gone_s, "back_ms": await caught_up(reader)}


async def is_closed(reader: Reader) -> Away:
    """Close the tab, on each transport."""
    clock, gone_s = asyncio.get_running_loop(), []
    for transport in ("websocket", "sse", "poll"):
        if not reader.is_open:
            await reader.open()
        await reader.begin(transport)
        told = await reader.expect_all()
        assert told["firstBy"] == transport, told
        began = clock.time()
        await reader.close()
        await gone(reader.place)
        gone_s.append(clock.time() - began)
    return {"gone_s": max(gone_s)}


async def is_turned_away(reader: Reader) -> Away:
    """Strain the edge, so that it asks its clients to poll, and let it be calm again."""
    edge = reader.place.edge
    for transport in ("poll", "websocket"):
        if transport == "websocket":
            await eventually(lambda: not edge.pod.brownout.active)
            await reader.call("hasten", 20)
        async with asyncio.timeout(PATIENCE_S):
            while (await reader.call("told"))["transport"] != transport:  # a policy, or an answer, away
                if transport == "poll":
                    edge.service.vitals._lags.append(STRAINED_S)
                await reader.publish(1)
        await reader.publish()
        await reader.expect_all()
    states = [each["state"] for each in (await reader.call("told"))["states"]]
    assert states == ["connecting", "connected"], states
    return {}


async def gone(place: Place) -> float:
    """Wait until the edge has no client any more; return after how many seconds."""
    clock = asyncio.get_running_loop()
    began = clock.time()
    await eventually(lambda: not any(place.edge.pod.counters.open.values()), GONE_S)
    return clock.time() - began


async def caught_up(reader: Reader) -> int:
    """Wait until the page was told everything; return after how many milliseconds."""
    clock = asyncio.get_running_loop()
    began = clock.time()
    await reader.expect_all()
    return round((clock.time() - began) * 1000)


CELLS: Final = (
    Cell("direct", "websocket"),
    Cell("nginx as documented", "websocket", site="good"),
    Cell("HAProxy as documented", "websocket", front="haproxy"),
    Cell("nginx that drops `Upgrade`", "sse", telling=True, site="no-upgrade"),
    Cell("a proxy that answers 101, and then nothing", "sse", front="chaos", network=Network(upgrade="mute")),
    Cell("a proxy that cuts what is idle", "websocket", site="idle", story=is_cut),
    Cell("a proxy that buffers and drops `Upgrade`", "poll", site="buffering"),
    Cell("squid that allows CONNECT only", "websocket", telling=True, site="good", proxy="squid"),
    Cell("TLS inspected (mitmproxy)", "websocket", site="good", proxy="mitmproxy"),
    Cell("WebSocket disabled in the page", "sse", script="delete window.WebSocket;"),
    Cell("network off and on", "websocket", telling=True, front="chaos", story=loses_its_network),
    Cell("tab frozen", "websocket", site="good", story=is_frozen),
    Cell("tab closed", "websocket", telling=True, site="good", story=is_closed),
    Cell("an edge under strain", "websocket", script=HASTE, story=is_turned_away),
)

"""The shop's backend: serves the page, signs users in, takes orders, and trades by itself."""

import asyncio
import itertools
import secrets
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final, Literal

import httpx
from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from nats.errors import Error as NatsError

from orders.events import RETRY_S, Press, offer_event, order_event
from orders.platform import Platform
from orders.settings import Settings
from orders.shop import ITEMS, Shop

PAGE: Final = Path(__file__).parent / "page"
TICK_S: Final = 1.0
TICKS_PER_OFFER: Final = 9

User = Literal["alice", "bob"]  # a shop in miniature: who names one of them is let in


class Trade:
    """The running shop: what happens in it is published."""

    def __init__(self, shop: Shop, press: Press, random: Random) -> None:
        self.shop = shop
        self.press = press
        self._random = random

    async def place(self, customer: str, item: str) -> dict[str, Any]:
        """Take an order from the page."""
        change = self.shop.place(customer, item)
        await self.press.publish(order_event(change, self.shop.run))
        return asdict(change.order)

    async def go_on(self) -> None:
        """Let something happen every second, for ever."""
        for tick in itertools.count(1):
            change = self.shop.carry_on()
            await self.press.publish(order_event(change, self.shop.run))
            if tick % TICKS_PER_OFFER == 0:
                item, percent = self._random.choice(list(ITEMS)), self._random.choice((10, 15, 20, 25))
                await self.press.publish(offer_event(tick // TICKS_PER_OFFER, item, percent, self.shop.run))
            await asyncio.sleep(TICK_S)


def application(settings: Settings) -> FastAPI:
    """Return the shop as an ASGI application; it trades from startup to shutdown."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        random = Random()
        shop = Shop(secrets.token_hex(3), first_id=10_000 + int(time.time()) % 80_000, random=random)
        async with Platform(settings) as platform:
            press = await _connect(settings.nats)
            app.state.platform, app.state.trade = platform, Trade(shop, press, random)
            trading = asyncio.create_task(app.state.trade.go_on())
            yield
            trading.cancel()
            with suppress(asyncio.CancelledError):
                await trading
            await press.close()

    app = FastAPI(title="Orders, a Whimbrel example", openapi_url=None, lifespan=lifespan)
    _answer(app, settings)
    _guard(app, settings)
    app.mount("/whimbrel", StaticFiles(directory=settings.client_js))
    app.mount("/page", StaticFiles(directory=PAGE))
    return app


async def _connect(url: str) -> Press:
    while True:
        try:
            return await Press.connect(url)
        except (OSError, NatsError):
            await asyncio.sleep(RETRY_S)  # the bus starts beside us


def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


def _trade(request: Request) -> Trade:
    trade: Trade = request.app.state.trade
    return trade


ThePlatform = Annotated[Platform, Depends(_platform)]
TheTrade = Annotated[Trade, Depends(_trade)]


def _answer(app: FastAPI, settings: Settings) -> None:
    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/ready")
    async def ready(trade: TheTrade) -> Response:
        return Response(status_code=200 if trade.press.ready else 503)

    @app.post("/session")
    async def sign_in(user: Annotated[User, Body(embed=True)], platform: ThePlatform) -> dict[str, Any]:
        mortal = {"leader": bool(settings.kill_leader)}
        return {"user": user, "edge": settings.edge, **mortal, **await platform.token(user)}

    @app.get("/orders")
    async def board(trade: TheTrade) -> dict[str, Any]:
        return {**trade.shop.board(), "items": list(ITEMS)}

    @app.get("/orders/{order}")
    async def one(order: str, trade: TheTrade, platform: ThePlatform, response: Response) -> dict[str, Any]:
        if trade.shop.find(order) is None:
            raise HTTPException(404, f"order {order} is not on the board")
        position = await platform.position(f"orders:{order}")  # before the state is read
        if position is not None:
            response.headers["whimbrel-position"] = position
        found = trade.shop.find(order)
        if found is None:
            raise HTTPException(404, f"order {order} has left the board")
        return asdict(found)

    @app.post("/orders", status_code=201)
    async def place(user: Annotated[User, Body()], item: Annotated[str, Body()], trade: TheTrade) -> dict[str, Any]:
        if item not in ITEMS:
            raise HTTPException(422, f"the shop does not sell {item!r}")
        return await trade.place(user, item)

    @app.get("/vip")
    async def vips(platform: ThePlatform) -> dict[str, list[str]]:
        return {"members": await platform.vips()}

    @app.put("/vip/{user}", status_code=204)
    async def join(user: User, platform: ThePlatform) -> None:
        await platform.join_vips(user)

    @app.delete("/vip/{user}", status_code=204)
    async def leave(user: User, platform: ThePlatform) -> None:
        await platform.leave_vips(user)

    @app.post("/leader/kill")
    async def kill_leader() -> dict[str, str]:
        if not settings.kill_leader:
            raise HTTPException(404, "no cluster: `whimbrel dev --nats-servers 3` starts one")
        killing = await asyncio.create_subprocess_exec(
            *shlex.split(settings.kill_leader),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await killing.communicate())[0].decode().strip()
        if killing.returncode:
            raise HTTPException(503, said)
        return {"said": said}

    @app.exception_handler(httpx.HTTPError)
    async def unreachable(_: Request, error: httpx.HTTPError) -> JSONResponse:
        return JSONResponse({"detail": f"Whimbrel does not answer: {error}"}, status_code=503)


def _guard(app: FastAPI, settings: Settings) -> None:
    socket = settings.edge.replace("http", "ws", 1)
    policy = f"default-src 'self'; connect-src 'self' {settings.edge} {socket}; object-src 'none'; base-uri 'none'"

    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["content-security-policy"] = policy
        response.headers["cache-control"] = "no-cache"  # the files change under development
        return response

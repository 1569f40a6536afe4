"""Clients who keep changing their transport and their edge; written from the contract alone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

import httpx
import websockets

from tests.faults.records import History, Received, Reset

SUBPROTOCOL: Final = websockets.Subprotocol("whimbrel.v1.json")
TRANSPORTS: Final = ("websocket", "sse", "poll")
PATIENCE_S: Final = 4.0  # for a connect, and for a sign of life: pings are set to come every second
FLEETING_S: Final = (0.2, 4.0)  # how long one stays where it is
FAITHFUL_S: Final = (10.0, 60.0)  # … and one who leaves it to the edge to notice what was missed
AGAIN_S: Final = (0.02, 0.4)
PAUSE_S: Final = (0.2, 1.5)  # of a client who stops reading
LEAVING_S: Final = 1.0  # what a client calls may swallow a cancellation: then it is left alone


class Left(Exception):
    """The client goes elsewhere: its time is over, or the edge sent it away."""


AWAY: Final = (Left, OSError, TimeoutError, websockets.WebSocketException, httpx.HTTPError)


class Client:
    """One user's device: its positions, and the rule by which it applies publications."""

    def __init__(
        self,
        name: str,
        channels: Sequence[str],
        history: History,
        *,
        edges: Sequence[str],
        token: str,
        known: Callable[[str], int],
        life_s: tuple[float, float],
        random: Random,
    ) -> None:
        """``known`` tells the last number begun in a channel: what a reload would show. ``life_s``: how long a
        connection is kept at least and at most.
        """
        self._name = name
        self._history = history
        self._edges = edges
        self._token = token
        self._known = known
        self._life_s = life_s
        self._random = random
        self._positions: dict[str, dict[str, Any] | None] = dict.fromkeys(channels)
        self._stay: asyncio.Task[None] | None = None
        self.placed = asyncio.Event()  # it has a position in each channel
        self.reading = asyncio.Event()  # cleared: it takes nothing from its socket
        self.reading.set()
        for channel in channels:
            history.seen[name, channel] = []

    async def run(self) -> None:
        """Come and go until cancelled."""
        while True:
            transport = getattr(self, f"_{self._random.choice(TRANSPORTS)}")
            self._stay = stay = asyncio.create_task(transport(self._random.choice(self._edges)))
            try:
                await asyncio.wait([stay], timeout=self._random.uniform(*self._life_s))
            finally:
                self._stay = None  # whatever it still does: libraries may swallow a cancellation
                stay.cancel()
            await asyncio.wait([stay], timeout=LEAVING_S)
            trouble = stay.exception() if stay.done() and not stay.cancelled() else None
            if trouble is not None and not isinstance(trouble, AWAY):
                self._history.broken.append(f"{self._name}: its client fell over {trouble!r}")
            await asyncio.sleep(self._random.uniform(*AGAIN_S))

    # What every transport has in common

    @property
    def _connect(self) -> dict[str, Any]:
        return {"type": "connect", "id": 1, "token": self._token, "channels": self._positions}

    def _take(self, frame: Mapping[str, Any]) -> None:
        """Apply a frame. Raises Left where nothing more is to be had here."""
        self._still_here()
        match frame["type"]:
            case "connected":
                self._history.connects += 1
                for channel, subscription in frame["channels"].items():
                    self._opened(channel, subscription)
            case "subscribed":
                self._opened(frame["channel"], frame)
            case "publication":
                self._apply(frame["channel"], frame)
            case "disconnect":
                raise Left(frame["reason"])

    def _still_here(self) -> None:
        if asyncio.current_task() is not self._stay:
            raise Left("elsewhere already")

    def _opened(self, channel: str, subscription: Mapping[str, Any]) -> None:
        if channel not in self._positions:
            return  # the inbox
        if "error" in subscription:
            raise Left(subscription["error"]["message"])
        offset = subscription["offset"]
        if subscription.get("recovered") is False:
            self._history.seen[self._name, channel].append(Reset(offset, self._known(channel)))
        self._positions[channel] = {"epoch": subscription["epoch"], "offset": offset}
        if None not in self._positions.values():
            self.placed.set()
        for publication in subscription.get("publications", ()):
            self._apply(channel, publication)

    def _apply(self, channel: str, publication: Mapping[str, Any]) -> None:
        position = self._positions.get(channel)
        if position is None or publication["offset"] <= position["offset"]:
            return
        if publication["prev"] > position["offset"]:
            raise Left("a gap: again from the position")
        position["offset"] = publication["offset"]
        self._history.seen[self._name, channel].append(Received(publication["data"], publication["offset"]))
        self._history.published[channel].receive(publication["data"], now=time.monotonic())

    # Transports

    async def _websocket(self, edge: str) -> None:
        url = edge.replace("http", "ws", 1) + "/v1/ws"
        async with websockets.connect(
            url, subprotocols=[SUBPROTOCOL], open_timeout=PATIENCE_S, close_timeout=0.1, max_size=None, proxy=None
        ) as socket:
            await socket.send(json.dumps(self._connect))
            while True:
                await self.reading.wait()
                async with asyncio.timeout(PATIENCE_S):  # wait_for can swallow a cancellation (Python 3.11)
                    message = json.loads(await socket.recv())
                for frame in message if isinstance(message, list) else [message]:
                    if frame["type"] == "ping":
                        await socket.send('{"type":"pong"}')
                    self._take(frame)
                if self._random.random() < 0.02:
                    await asyncio.sleep(self._random.uniform(*PAUSE_S))

    async def _sse(self, edge: str) -> None:
        async with (
            self._http() as http,
            http.stream("POST", f"{edge}/v1/sse", json=self._connect) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise Left(str(answer.status_code))
            async for frame in _events(answer):
                self._take(frame)
                await self.reading.wait()

    async def _poll(self, edge: str) -> None:
        async with self._http() as http:
            while True:
                await self.reading.wait()
                body = {"channels": self._positions, "wait": self._random.choice((0, 1, 3))}
                answer = await http.post(f"{edge}/v1/poll", json=body)
                if answer.status_code != httpx.codes.OK:
                    raise Left(str(answer.status_code))
                reply = answer.json()
                self._still_here()
                for frame in reply["frames"]:
                    self._take(frame)
                for channel, position in reply["channels"].items():
                    if self._positions.get(channel, position) is None:
                        self._positions[channel] = position

    def _http(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._token}"}
        # No certificates to read, for nothing here is encrypted: that would take 20 ms each time.
        return httpx.AsyncClient(headers=headers, timeout=PATIENCE_S, trust_env=False, verify=False)


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the frames of an event stream, as a browser would dispatch them."""
    data: list[str] = []
    async for line in answer.aiter_lines():
        if line.startswith("data:"):
            data.append(line[5:].lstrip(" "))
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []

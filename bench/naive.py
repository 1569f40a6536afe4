"""What a tutorial would have you write: FastAPI, a WebSocket per client, and a loop that encodes for and sends to each.

One process, in memory: no bus, no history but a list, no bound on a slow client. It verifies tokens itself.
``python -m bench.naive SECRET`` prints ``{"port":N}`` and obeys the commands of floor.c.
"""

import asyncio
import json
import socket
import sys
import time
from typing import Any

import jwt
import uvicorn
import uvloop
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect


def compact(value: object) -> str:
    """Return JSON as long as what the edge writes."""
    return json.dumps(value, separators=(",", ":"))


def publication(series: int, number: int, due_s: float) -> dict[str, Any]:
    """Return what the edge would write for 100 bytes of data."""
    marks = {"s": series, "n": number, "t": int(due_s * 1e9)}
    return {
        "type": "publication",
        "channel": "orders:bench",
        "offset": number + 1,
        "prev": number,
        "event": "bench.tick",
        "event_id": f"{number:024}",
        "time": "2026-01-01T00:00:00.000Z",
        "data": {**marks, "text": "naive".ljust(90 - len(compact(marks)))},
    }


class Naive:
    """The clients, and what they were sent."""

    def __init__(self, secret: str) -> None:
        self.clients: list[WebSocket] = []
        self.history: list[dict[str, Any]] = []
        self.missed = range(0)
        self.unicasts = 0
        self._secret = secret
        self._published = asyncio.Condition()

    def user_of(self, token: str) -> str:
        claims = jwt.decode(token, self._secret, algorithms=["HS256"], audience="whimbrel")
        return str(claims["sub"])

    async def serve(self, client: WebSocket) -> None:
        await client.accept(subprotocol="whimbrel.v1.json")
        connect = json.loads(await client.receive_text())
        user = self.user_of(connect["token"])
        await client.send_text(compact({"type": "connected", "user": user}))
        for number in self.missed:
            await client.send_text(compact(publication(2, number, time.monotonic())))
        self.clients.append(client)
        try:
            while True:
                await client.receive_text()
        except WebSocketDisconnect:
            self.clients.remove(client)

    async def poll(self, request: Request) -> dict[str, Any]:
        self.user_of(request.headers["authorization"].removeprefix("Bearer "))
        ((channel, position),) = (await request.json())["channels"].items()
        frames = []
        if position is not None:
            seen = position["offset"]
            async with self._published:
                await self._published.wait_for(lambda: len(self.history) > seen)
            frames = self.history[seen:]
        return {"frames": frames, "channels": {channel: {"epoch": "naive", "offset": len(self.history)}}}

    async def broadcast(self, due_s: float) -> None:
        sent = publication(0, len(self.history), due_s)
        for client in list(self.clients):
            await client.send_text(compact(sent))
        async with self._published:
            self.history.append(sent)
            self._published.notify_all()

    async def unicast(self, due_s: float) -> None:
        turn, place = divmod(self.unicasts, len(self.clients))
        self.unicasts += 1
        await self.clients[place].send_text(compact(publication(1, turn, due_s)))

    async def obey(self, commands: asyncio.StreamReader) -> None:
        """Carry out one command per line until they end."""
        while line := await commands.readline():
            match line.decode().split():
                case ["missed", number]:
                    self.missed = range(self.missed.stop, self.missed.stop + int(number))
                case [word, rate, count]:
                    await self._publish(self.unicast if word == "unicast" else self.broadcast, float(rate), int(count))
            print("{}", flush=True)

    async def _publish(self, publish: Any, rate: float, count: int) -> None:
        began = time.monotonic()
        for number in range(count):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            await publish(due)


async def main(secret: str) -> None:
    naive = Naive(secret)
    app = FastAPI()
    app.websocket("/v1/ws")(naive.serve)
    app.post("/v1/poll")(naive.poll)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)  # here already: who connects before uvicorn is up waits
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", backlog=4096, ws_ping_interval=25.0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    print(compact({"port": listener.getsockname()[1]}), flush=True)
    await naive.obey(commands)
    serving.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))

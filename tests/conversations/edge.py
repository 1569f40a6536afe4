"""An edge that knows nothing: WebSocket, streams of events and polls on one port, and a script decides about each."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.client.fake_wire import EventSocket, HttpRequest, Socket, http_response, problem, read_request
from tests.conversations.lines import CUT, Line, PollLine, StreamLine, WebSocketLine
from whimbrel.protocol.limits import MAX_BODY_BYTES

TRANSPORTS = {"/v1/ws": "websocket", "/v1/sse": "sse", "/v1/poll": "poll"}


@dataclass
class Arrival:
    """A client that wants to be let in. ``decided`` gets the answer, or the line on which it was."""

    transport: str
    request: HttpRequest
    line: Callable[[str], Line]
    decided: asyncio.Future[bytes | Line] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ScriptedEdge:
    """``url`` while it runs. ``happened`` is set with everything that a client does."""

    def __init__(self) -> None:
        self.url = ""
        self.happened = asyncio.Event()
        self.arrivals: deque[Arrival] = deque()
        self.lines: dict[str, Line] = {}
        self.advice: list[str] = ["websocket", "sse", "poll"]
        self._talking: StreamLine | PollLine | None = None  # takes the commands
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def accept(self, arrival: Arrival, name: str) -> Line:
        """Let a client in; the line bears ``name``."""
        line = arrival.line(name)
        line.accept()
        self.lines[name] = line
        if isinstance(line, StreamLine | PollLine):
            self._talking = line
        arrival.decided.set_result(line)
        return line

    # --- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await read_request(reader)) is not None:
                answer = await self._answer(request, reader, writer)
                if answer == CUT:
                    writer.transport.abort()
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        path = request.path.partition("?")[0]
        match path:
            case "/v1/transports":
                return _policy(self.advice)
            case "/v1/commands" if self._talking is not None:
                frames = json.loads(request.body)["frames"]
                self._talking.heard.extend(frames)
                self.happened.set()
                if len(request.body) > MAX_BODY_BYTES:
                    self._talking.heard.append({"type": "a body over the limit", "bytes": len(request.body)})
                return await self._talking.commands.take(frames)
            case "/v1/poll" if isinstance(self._talking, PollLine) and not self._talking.over:
                answer = self._talking.poll(request)
                self.happened.set()
                return await answer
            case _ if path in TRANSPORTS:
                return await self._admit(TRANSPORTS[path], request, reader, writer)
            case _:
                return problem(404, 107, "bad_request")

    async def _admit(
        self, transport: str, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        def line(name: str) -> Line:
            match transport:
                case "websocket":
                    return WebSocketLine(name, Socket(reader, writer), request)
                case "sse":
                    return StreamLine(name, EventSocket(reader, writer), request)
                case _:
                    return PollLine(name)

        arrival = Arrival(transport, request, line)
        self.arrivals.append(arrival)
        self.happened.set()
        decided = await arrival.decided
        match decided:
            case bytes():
                return decided
            case PollLine():
                answer = decided.poll(request)
                self.happened.set()
                return await answer
            case WebSocketLine() | StreamLine():
                await decided.listen(self.happened)
                return CUT
            case _:
                raise AssertionError(f"{decided!r} is no line")


def _policy(transports: list[str]) -> bytes:
    policy: dict[str, Any] = {"cohort": "all", "heartbeat": {"ping": 25, "pong": 10}, "poll": {"interval": 15}}
    return http_response(200, {"transports": transports} | policy)

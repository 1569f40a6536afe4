"""The Python client as a conversation tells it: commands come on stdin, what the application sees goes to stdout."""

import asyncio
import json
import selectors
import ssl
import sys
from typing import Any, Self

from whimbrel.client import (
    Acked,
    Changes,
    ChannelClosed,
    ChannelRefused,
    Client,
    ClientError,
    Closed,
    Joined,
    Left,
    Position,
    Publication,
    RequestFailed,
    Reset,
    State,
    Subscription,
)

TLS = ssl.create_default_context()  # one for all conversations: to read the machine's certificates costs 35 ms
LINE_BYTES = 4 * 1024 * 1024
TURNS = 20  # of the loop, for what the network has brought, before the clock moves on


class Patient(selectors.DefaultSelector):
    """Waits for the network alone: time does not pass by itself."""

    def select(self, timeout: float | None = None) -> Any:
        return super().select(0 if timeout == 0 else None)


class HeldLoop(asyncio.SelectorEventLoop):
    """A loop whose clock moves only when it is told to."""

    def __init__(self) -> None:
        self.held_s = 1000.0
        super().__init__(Patient())

    def time(self) -> float:
        return self.held_s

    async def advance(self, seconds: float) -> None:
        until = self.held_s + seconds
        while True:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
            due = min((each.when() for each in timers if not each.cancelled()), default=until + 1)
            if due > until:
                break
            self.held_s = max(self.held_s, due)
        self.held_s = until


def tell(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event} | fields) + "\n")
    sys.stdout.flush()


class Conversation:
    """One client, from `start` to `end`."""

    def __init__(self, url: str, transport: str, tokens: list[str | None], subscribe: list[dict[str, Any]]) -> None:
        self.tokens = tokens
        options: dict[str, Any] = {"transport": transport, "tls": TLS, "jitter": lambda: 0.5}
        self.client = Client(url, token=self.token, **options)
        self.subscriptions: dict[str, Subscription] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.begin = subscribe

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        tell("state", state=self.client.state.value, code=1000)  # there was nobody to tell it before
        self.watching = asyncio.create_task(self.watch(self.client.states()))
        for each in self.begin:
            self.follow(**each)
        return self

    async def token(self) -> str | None:
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]

    async def watch(self, changes: Changes) -> None:
        """Tell of every change; one between two transports while connected is a `transport`."""
        connected = False
        async for change in changes:
            if connected and change.state is State.CONNECTED:
                tell("transport", transport=change.transport)
            else:
                tell("state", state=change.state.value, code=change.code)
            connected = change.state is State.CONNECTED

    def follow(
        self, channel: str, position: dict[str, Any] | None = None, last: int | None = None, paused: bool = False
    ) -> None:
        at = None if position is None else Position(**position)
        gate = self.gates[channel] = asyncio.Event()
        if not paused:
            gate.set()
        self.tasks[channel] = asyncio.create_task(self.read(channel, gate, at, last))

    async def read(self, channel: str, gate: asyncio.Event, position: Position | None, last: int | None) -> None:
        try:
            async with self.client.subscribe(channel, position=position, last=last) as subscription:
                self.subscriptions[channel] = subscription
                events = subscription.events()
                while True:
                    await gate.wait()
                    try:
                        self.show(channel, await anext(events))
                    except StopAsyncIteration:
                        return
        except ChannelRefused as error:
            tell("refused", channel=channel, code=error.code)
        except ChannelClosed as error:
            tell("unsubscribed", channel=channel, code=error.code)
        except ClientError:
            return  # the client is closed, and its state says so

    def show(self, channel: str, event: object) -> None:
        match event:
            case Publication():
                offset = {} if event.offset is None else {"offset": event.offset}
                tell("publication", channel=channel, data=event.data, **offset)
            case Reset():
                tell("reset", channel=channel)
            case Acked():
                tell("acked", channel=channel, offset=event.offset)
            case Joined():
                tell("join", channel=channel, user=event.user)
            case Left():
                tell("leave", channel=channel, user=event.user)
            case _:
                pass

    async def request(self, do: str, **fields: Any) -> None:
        try:
            match do:
                case "publish":
                    expiry = {"timeout": fields.pop("expires_s")} if "expires_s" in fields else {}
                    offset = await self.client.publish(**({"data": None} | fields), **expiry)
                    tell("answer", to=do, **({} if offset is None else {"offset": offset}))
                case "ack":
                    tell("answer", to=do, offset=await self.client.ack(**fields))
                case "history":
                    page = await self.client.history(**fields)
                    tell("answer", to=do, publications=[each.data for each in page.publications])
                case _:
                    tell("answer", to=do, users=list(await self.client.presence(**fields)))
        except RequestFailed as error:
            tell("failed", to=do, slug=error.slug)
        except Closed:
            tell("failed", to=do, slug="closed")
        except ClientError as error:
            tell("failed", to=do, slug="timeout" if "Timeout" in type(error).__name__ else type(error).__name__)


async def main(loop: HeldLoop) -> None:
    reader = asyncio.StreamReader(LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    talk: Conversation | None = None
    requests: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        command: dict[str, Any] = json.loads(line)
        do = command.pop("do")
        match do:
            case "start":
                talk = await Conversation(**command).__aenter__()
                tell("ready")
            case "advance":
                await loop.advance(command["seconds"])
                tell("advanced")
            case _ if talk is None:
                raise RuntimeError(f"{line!r} before `start`")
            case "subscribe":
                talk.follow(**command)
            case "unsubscribe":
                talk.tasks[command["channel"]].cancel()
            case "resume":
                talk.gates[command["channel"]].set()
            case "positions":
                at = {name: each.position for name, each in talk.subscriptions.items()}
                tell("positions", positions={name: p.model_dump() for name, p in at.items() if p is not None})
            case "stop":
                requests.add(asyncio.create_task(talk.client.close()))
            case "end":
                closing = asyncio.create_task(talk.client.close())
                while not closing.done():
                    await loop.advance(1)  # what it has to wait for in closing is over at once
                tell("ended")
                talk = None
            case _:
                requests.add(asyncio.create_task(talk.request(do, **command)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        held = runner.get_loop()
        assert isinstance(held, HeldLoop)
        runner.run(main(held))

"""One client of the Python package among the thousands of herd.c: what an application sees that is written with it."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from bench.program import Broken
from bench.storms.fleet import Fleet
from bench.storms.verdict import Verdict, none
from whimbrel.client import Client, PositionLost
from whimbrel.protocol.channels import Channel


class Witness:
    """Follows one channel, from now, at one edge: within ``async with``."""

    def __init__(self, fleet: Fleet, edge: str, channel: Channel) -> None:
        self._client = Client(f"http://127.0.0.1:{fleet.port_of(edge)}", token=fleet.token("witness"))
        self._channel = str(channel)
        self._numbers: list[int] = []
        self._reloads = 0
        self._heard = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Return once the channel is open."""
        await self._client.__aenter__()
        self._subscription = await self._client.subscribe(self._channel).__aenter__()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()
        await self._reading

    async def applied(self, count: int, *, patience_s: float) -> Verdict:
        """Wait for ``count`` publications, and return what was wrong with them. Raises Broken where none came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while len(set(self._numbers)) < count:
                    self._heard.clear()
                    await self._heard.wait()
        if not self._numbers:
            raise Broken(f"the client in Python is {self._client.state.value} and heard nothing")
        missing = count - len(set(self._numbers))
        repeated = len(self._numbers) - len(set(self._numbers))
        wrong = {"missing": missing, "repeated": repeated, "reloaded": self._reloads}
        if not any(wrong.values()) and self._numbers != sorted(self._numbers):
            wrong["in another order"] = 1
        faults = ", ".join(f"{number} {what}" for what, number in wrong.items() if number)
        return none("lost, repeated, reloaded by the client in Python", faults)

    async def _read(self) -> None:
        while True:
            with suppress(PositionLost):
                async for publication in self._subscription:
                    self._numbers.append(publication.data["n"])
                    self._heard.set()
                return
            self._reloads += 1

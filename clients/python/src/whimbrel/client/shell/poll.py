"""A link over long-poll: one request waits at the edge, another carries commands. By ``httpx``."""

import asyncio

import httpx
from pydantic import ValidationError

from whimbrel.client.addresses import Addresses
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.polling import Poll
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.commands import Commands, Lost, first_loss
from whimbrel.client.shell.link import TaskLink
from whimbrel.client.shell.port import Port
from whimbrel.protocol.bodies import PollReply, PollRequest
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame


class PollLink(TaskLink):
    """Polls until it is hung up; ``http`` belongs to the client and outlives the link."""

    def __init__(
        self,
        number: int,
        addresses: Addresses,
        port: Port,
        timing: Timing,
        http: httpx.AsyncClient,
    ) -> None:
        super().__init__(number, port)
        self._addresses = addresses
        self._timing = timing
        self._commands = Commands(addresses, timing, http, lambda: port.bearer)
        self._again = asyncio.Event()

    def send(self, frame: ClientFrame) -> None:
        """Queue a command."""
        self._commands.send(frame)

    def repoll(self) -> None:
        """Give up the request that waits, and ask with the channels of now."""
        self._again.set()

    async def _converse(self) -> Loss:
        return await first_loss(self._poll(), self._commands.run(self._received), self._advise())

    async def _poll(self) -> None:
        at_once = False
        while (asked := self._port.poll(self._number)) is not None:
            self._again.clear()
            if asked.rest_s and not at_once and await self._interrupted(asked.rest_s):
                at_once = True  # what is new must not wait for what is not
                continue
            at_once = False
            request = asyncio.ensure_future(self._ask(asked))
            again = asyncio.ensure_future(self._again.wait())
            try:
                await asyncio.wait([request, again], return_when=asyncio.FIRST_COMPLETED)
                if request.done():
                    self._port.polled(self._number, asked, request.result())
            except MalformedFrame as error:
                raise Lost(Loss(BROKEN, str(error))) from None
            finally:
                # Positions have not moved, so a request given up costs nothing: the next one asks from the same place.
                for task in (request, again):
                    task.cancel()

    async def _interrupted(self, rest_s: float) -> bool:
        """Rest; return whether the channels changed meanwhile."""
        try:
            async with asyncio.timeout(rest_s):
                await self._again.wait()
        except TimeoutError:
            return False
        return True

    async def _ask(self, asked: Poll) -> PollReply:
        body = PollRequest(channels=asked.channels, wait=asked.wait_s)
        answer = await self._commands.post(
            self._addresses.poll, body.model_dump_json().encode(), asked.wait_s + self._timing.poll_grace_s
        )
        try:
            return PollReply.model_validate_json(answer)
        except ValidationError as error:
            raise Lost(Loss(BROKEN, f"the answer to a poll breaks the contract: {error.errors()[0]['msg']}")) from None

    async def _advise(self) -> None:
        """Ask now and then what the edge advises: who polls is not told by itself."""
        while True:
            policy = await self._commands.advise()
            if policy is not None:
                self._received([policy])
            await asyncio.sleep(self._port.advice_s())

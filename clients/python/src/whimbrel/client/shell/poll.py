"""A link over long-poll: one request waits at the edge, another carries commands. By ``httpx``."""

import asyncio
import logging
from collections.abc import Callable

import httpx
from pydantic import ValidationError

from whimbrel.client.addresses import Addresses
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.polling import Poll
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.port import Port
from whimbrel.client.shell.problems import loss_of_response
from whimbrel.protocol.bodies import CommandsReply, PollReply, PollRequest, TransportsReply
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, Policy, decode_edge_object, encode
from whimbrel.protocol.limits import MAX_FRAMES_PER_MESSAGE

_log = logging.getLogger("whimbrel.client")


class _Lost(Exception):
    """The link is lost; carries why out of the depth of a request."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss.reason)
        self.loss = loss


class PollLink:
    """Polls until it is hung up; ``http`` belongs to the client and outlives the link."""

    def __init__(
        self,
        number: int,
        addresses: Addresses,
        port: Port,
        timing: Timing,
        http: httpx.AsyncClient,
        jitter: Callable[[], float],
    ) -> None:
        self._number = number
        self._addresses = addresses
        self._port = port
        self._timing = timing
        self._http = http
        self._jitter = jitter
        self._outbox: list[bytes] = []  # bounded by the requests under way
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to poll."""
        self._task = asyncio.create_task(self._run(), name=f"whimbrel-poll-{self._number}")

    def send(self, frame: ClientFrame) -> None:
        """Queue a command."""
        self._outbox.append(encode(frame))
        self._wake.set()

    def repoll(self) -> None:
        """Give up the request that waits, and ask with the channels of now."""
        self._again.set()

    def hang_up(self, code: int) -> None:
        """Give up the requests under way; HTTP knows no farewell, so ``code`` goes nowhere."""
        del code
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until no request is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll())
                group.create_task(self._command())
                group.create_task(self._advise())
        except* _Lost as lost:
            first = lost.exceptions[0]
            assert isinstance(first, _Lost)
            self._port.lost(self._number, first.loss)
        except* Exception as group_of_faults:  # a fault of ours must not leave the client without a word
            _log.exception("the polling link failed")
            self._port.lost(self._number, Loss(BROKEN, f"a fault in the client: {group_of_faults.exceptions[0]!r}"))

    async def _poll(self) -> None:
        while (asked := self._port.poll(self._number)) is not None:
            self._again.clear()
            if asked.rest_s and await self._interrupted(asked.rest_s):
                continue
            request = asyncio.ensure_future(self._ask(asked))
            again = asyncio.ensure_future(self._again.wait())
            try:
                await asyncio.wait([request, again], return_when=asyncio.FIRST_COMPLETED)
                if request.done():
                    self._port.polled(self._number, asked, request.result())
            except MalformedFrame as error:
                raise _Lost(Loss(BROKEN, str(error))) from None
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
        answer = await self._post(
            self._addresses.poll, body.model_dump_json().encode(), asked.wait_s + self._timing.poll_grace_s
        )
        try:
            return PollReply.model_validate_json(answer)
        except ValidationError as error:
            raise _Lost(Loss(BROKEN, f"the answer to a poll breaks the contract: {error.errors()[0]['msg']}")) from None

    async def _command(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                batch = self._outbox[:MAX_FRAMES_PER_MESSAGE]
                del self._outbox[:MAX_FRAMES_PER_MESSAGE]
                body = b'{"frames":[%b]}' % b",".join(batch)
                answer = await self._post(self._addresses.commands, body, self._timing.poll_grace_s)
                try:
                    replies = CommandsReply.model_validate_json(answer)
                    frames = [frame for each in replies.frames for frame in decode_edge_object(each)]
                except (ValidationError, MalformedFrame) as error:
                    raise _Lost(Loss(BROKEN, f"the answer to a command breaks the contract: {error}")) from None
                self._port.received(self._number, frames)

    async def _advise(self) -> None:
        """Ask now and then what the edge advises: who polls is not told by itself."""
        while True:
            policy = await self._policy()
            if policy is not None:
                self._port.received(self._number, [policy])
            await asyncio.sleep(self._timing.probe_s * (0.5 + self._jitter()))

    async def _policy(self) -> Policy | None:
        """Return the edge's advice; without an answer the client goes on as it is."""
        try:
            answer = await self._http.get(self._addresses.transports, headers=self._headers())
            if answer.status_code != httpx.codes.OK:
                return None
            reply = TransportsReply.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError):
            return None
        return Policy.model_validate(reply.model_dump() | {"type": "policy"})

    async def _post(self, url: str, body: bytes, patience_s: float) -> bytes:
        timeout = httpx.Timeout(self._timing.open_s, read=patience_s)
        try:
            answer = await self._http.post(url, content=body, headers=self._headers(), timeout=timeout)
        except httpx.TimeoutException as error:
            raise _Lost(Loss(BROKEN, f"{url} gave no answer in time", unanswered=True)) from error
        except httpx.HTTPError as error:
            raise _Lost(Loss(BROKEN, f"no answer from {url}: {error!r}")) from error
        if answer.status_code != httpx.codes.OK:
            raise _Lost(loss_of_response(answer.status_code, answer.headers, answer.content))
        return answer.content

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._port.bearer}", "Content-Type": "application/json"}

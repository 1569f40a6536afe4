"""Requests to an edge over HTTP, for links that cannot carry frames upwards. By ``httpx``."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpx
from pydantic import ValidationError

from whimbrel.client.addresses import Addresses
from whimbrel.client.core.link import BROKEN, Loss
from whimbrel.client.core.timing import Timing
from whimbrel.client.shell.messages import batches
from whimbrel.client.shell.problems import loss_of_response
from whimbrel.protocol.bodies import CommandsReply, TransportsReply
from whimbrel.protocol.errors import MalformedFrame
from whimbrel.protocol.frames import ClientFrame, EdgeFrame, Policy, decode_edge_object, encode


class Lost(Exception):
    """The link is lost; carries why out of the depth of a request."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss.reason)
        self.loss = loss


async def first_loss(*parts: Coroutine[Any, Any, None]) -> Loss:
    """Run the parts of a link side by side, for ever, until one of them raises Lost; return why."""
    losses: list[Loss] = []
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except* Lost as lost:
        losses = [each.loss for each in lost.exceptions if isinstance(each, Lost)]
    return losses[0]


class Commands:
    """What one link asks by POST; ``http`` belongs to the client and outlives the link."""

    def __init__(
        self, addresses: Addresses, timing: Timing, http: httpx.AsyncClient, bearer: Callable[[], str]
    ) -> None:
        self._addresses = addresses
        self._timing = timing
        self._http = http
        self._bearer = bearer
        self._outbox: list[bytes] = []  # bounded by the requests under way
        self._wake = asyncio.Event()

    def send(self, frame: ClientFrame) -> None:
        """Queue a command."""
        self._outbox.append(encode(frame))
        self._wake.set()

    async def run(self, received: Callable[[Sequence[EdgeFrame]], None]) -> None:
        """Send what is queued, in order, and hand over the replies; for ever.

        Raises Lost.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._outbox = self._outbox, []
            for batch in batches(waiting):
                body = b'{"frames":[%b]}' % b",".join(batch)
                answer = await self.post(self._addresses.commands, body, self._timing.poll_grace_s)
                try:
                    replies = CommandsReply.model_validate_json(answer)
                    frames = [frame for each in replies.frames for frame in decode_edge_object(each)]
                except (ValidationError, MalformedFrame) as error:
                    raise Lost(Loss(BROKEN, f"the answer to a command breaks the contract: {error}")) from None
                received(frames)

    async def advise(self) -> Policy | None:
        """Return what the edge advises who is not told by itself; None without an answer."""
        try:
            answer = await self._http.get(self._addresses.transports, headers=self.headers())
            if answer.status_code != httpx.codes.OK:
                return None
            reply = TransportsReply.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError):
            return None
        return Policy.model_validate(reply.model_dump() | {"type": "policy"})

    async def post(self, url: str, body: bytes, patience_s: float) -> bytes:
        """Return the body of the answer.

        Raises Lost where there is none in time, or another than 200.
        """
        timeout = httpx.Timeout(self._timing.open_s, read=patience_s)
        try:
            answer = await self._http.post(url, content=body, headers=self.headers(), timeout=timeout)
        except httpx.TimeoutException as error:
            raise Lost(Loss(BROKEN, f"{url} gave no answer in time", unanswered=True)) from error
        except httpx.HTTPError as error:
            raise Lost(Loss(BROKEN, f"no answer from {url}: {error!r}")) from error
        if answer.status_code != httpx.codes.OK:
            raise Lost(loss_of_response(answer.status_code, answer.headers, answer.content))
        return answer.content

    def headers(self) -> dict[str, str]:
        """Return the header fields of every request."""
        return {"Authorization": f"Bearer {self._bearer()}", "Content-Type": "application/json"}

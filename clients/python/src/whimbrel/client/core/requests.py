"""Requests that wait for their answer: sent again on the next link, for each one is harmless to repeat.

A publish bears a key, an ack moves a mark that only grows, and history, inbox and presence change nothing.
"""

from typing import Final

from whimbrel.client.core.effects import Answer, Effect, Send
from whimbrel.client.core.link import Link, Stage
from whimbrel.client.errors import RequestFailed
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.frames import Ack, Error, History, Inbox, Ok, Presence, Publish

MAX_WAITING: Final = 256  # that wait for an answer, a link that is away included; one more is refused
MAX_UNDER_WAY: Final = 32  # sent and not answered; the others follow. An edge refuses more than 64 per session

Request = Publish | Ack | History | Inbox | Presence


class Requests:
    """Requests by id, oldest first. Whoever asks says when to stop waiting, by ``forget``."""

    def __init__(self) -> None:
        self._waiting: dict[int, Request] = {}
        self._under_way: set[int] = set()

    def add(self, request_id: int, request: Request, link: Link | None) -> list[Effect]:
        """Send ``request`` now, or as soon as it is its turn.

        Raises RequestFailed where too many wait already.
        """
        if len(self._waiting) >= MAX_WAITING:
            why = f"{MAX_WAITING} requests wait for their answer already"
            raise RequestFailed(ErrorCode.LIMIT_EXCEEDED, ErrorCode.LIMIT_EXCEEDED.slug, why)
        self._waiting[request_id] = request
        return self._send(link)

    def forget(self, request_id: int, link: Link | None) -> list[Effect]:
        """Nobody waits for the answer any more."""
        if self._waiting.pop(request_id, None) is None:
            return []
        self._under_way.discard(request_id)
        return self._send(link)

    def again(self, link: Link) -> list[Effect]:
        """Send what waits on a link that has just come up."""
        self._under_way.clear()
        return self._send(link)

    def answered(self, reply: Ok | Error, link: Link | None) -> list[Effect]:
        """Take a reply; one to a request that nobody waits for is left out."""
        if reply.id is None or self._waiting.pop(reply.id, None) is None:
            return []
        self._under_way.discard(reply.id)
        return [Answer(reply.id, reply), *self._send(link)]

    def _send(self, link: Link | None) -> list[Effect]:
        if link is None or link.stage is not Stage.UP:
            return []
        room = MAX_UNDER_WAY - len(self._under_way)
        next_ids = [each for each in self._waiting if each not in self._under_way][: max(0, room)] if room > 0 else []
        self._under_way.update(next_ids)
        return [Send(link.id, self._waiting[each]) for each in next_ids]

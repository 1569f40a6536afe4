"""Requests that wait for their answer: sent again on the next link, for each one is harmless to repeat.

A publish bears a key, an ack moves a mark that only grows, and history, inbox and presence change nothing.
"""

from whimbrel.client.core.effects import Answer, Effect, Send
from whimbrel.client.core.link import Link, Stage
from whimbrel.protocol.frames import Ack, Error, History, Inbox, Ok, Presence, Publish

Request = Publish | Ack | History | Inbox | Presence


class Requests:
    """Requests by id, oldest first. Whoever asks says when to stop waiting, by ``forget``."""

    def __init__(self) -> None:
        self._waiting: dict[int, Request] = {}

    def add(self, request_id: int, request: Request, link: Link | None) -> list[Effect]:
        """Send ``request`` now, or with the next link."""
        self._waiting[request_id] = request
        return [Send(link.id, request)] if link is not None and link.stage is Stage.UP else []

    def forget(self, request_id: int) -> None:
        """Nobody waits for the answer any more."""
        self._waiting.pop(request_id, None)

    def again(self, link: Link) -> list[Effect]:
        """Send all on a link that has just come up."""
        return [Send(link.id, request) for request in self._waiting.values()]

    def answered(self, reply: Ok | Error) -> list[Effect]:
        """Take a reply; one to a request that nobody waits for is left out."""
        if reply.id is None or self._waiting.pop(reply.id, None) is None:
            return []
        return [Answer(reply.id, reply)]

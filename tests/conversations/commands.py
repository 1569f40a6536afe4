"""What a client sends by POST beside a stream or a poll, and the replies that a script gives to it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.client.fake_wire import http_response

Json = dict[str, Any]


class Commands:
    """Requests that the client sends beside a stream or a poll; each is answered once all of its replies are there."""

    def __init__(self) -> None:
        self._waiting: list[tuple[list[int], list[Json], asyncio.Future[bytes]]] = []

    def take(self, frames: Sequence[Json]) -> asyncio.Future[bytes]:
        """Return the answer that there will be."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(([frame["id"] for frame in frames if "id" in frame], [], answer))
        self._settle()
        return answer

    def reply(self, frame: Json) -> bool:
        """Take a reply; False where no request waits for it."""
        for owed, replies, _ in self._waiting:
            if frame.get("id") in owed:
                owed.remove(frame["id"])
                replies.append(frame)
                self._settle()
                return True
        return False

    def end(self, answer: bytes) -> None:
        for *_, future in self._waiting:
            settle(future, answer)
        self._waiting.clear()

    def _settle(self) -> None:
        for owed, replies, answer in [each for each in self._waiting if not each[0]]:
            settle(answer, http_response(200, {"frames": replies}))
            self._waiting.remove((owed, replies, answer))


def settle(future: asyncio.Future[bytes], answer: bytes) -> None:
    if not future.done():
        future.set_result(answer)

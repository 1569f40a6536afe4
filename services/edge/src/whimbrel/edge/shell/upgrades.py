"""Heads of upgrades that were seen before.

A browser or a library sends the same head with each connect, but for its `Sec-WebSocket-Key`. What it comes to is
remembered by all its other bytes: the next one costs 1.5 µs where reading and judging it takes 8, and a browser's, with
twice the headers, 3 instead of 14 (one at a time, caches warm; about twice that in a storm). Where a proxy writes
something of its own into each, all of them are read.
"""

from typing import Final

from whimbrel.edge.shell.handshake import Upgrade, read_upgrade
from whimbrel.edge.shell.httpwire import Request

_BEFORE_KEY: Final = b"\r\nSec-WebSocket-Key: "  # as browsers and libraries write it; who writes it otherwise is read
KEY_CHARS: Final = 24  # 16 bytes in base64
REMEMBERED: Final = 256  # heads: one for each browser in use; the oldest goes first
MAX_REMEMBERED_BYTES: Final = 2048  # of one head, and as much again for what it says: 1 MB for all


class Upgrades:
    """Reads upgrades, and remembers those that do not say who the client is. ``deflate``: where compression is offered
    it is agreed to.
    """

    def __init__(self, *, deflate: bool) -> None:
        self._deflate = deflate
        self._known: dict[bytes, Upgrade] = {}  # by the head without its key

    def read(self, request: Request, head: bytes) -> Upgrade:
        """Return what ``request`` asks for, whose head is ``head``. Raises Refusal."""
        upgrade = read_upgrade(request, deflate=self._deflate)
        at = _key_in(head)
        plain = not request.body and not upgrade.says_who
        if plain and at is not None and head[at : at + KEY_CHARS] == upgrade.key:
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[head[:at] + head[at + KEY_CHARS :]] = upgrade
        return upgrade

    def recall(self, head: bytes) -> Upgrade | None:
        """Return what ``head`` asks for if one before differed from it in the key alone."""
        at = _key_in(head)
        if at is None:
            return None
        known = self._known.get(head[:at] + head[at + KEY_CHARS :])
        return None if known is None else Upgrade(known.request, known.extensions, head[at : at + KEY_CHARS])


def _key_in(head: bytes) -> int | None:
    at = head.find(_BEFORE_KEY, 0, MAX_REMEMBERED_BYTES)
    return None if at < 0 or len(head) > MAX_REMEMBERED_BYTES else at + len(_BEFORE_KEY)

"""``GET /v1/poll``: a poll by a client that cannot change, with ETag and 304."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from whimbrel.edge.core.asking import from_cursor
from whimbrel.edge.core.identity import Identity
from whimbrel.edge.core.polling import PollAnswer
from whimbrel.edge.shell.asks import read_get
from whimbrel.edge.shell.door import Door
from whimbrel.edge.shell.httpwire import Refusal, Request
from whimbrel.edge.shell.pod import Pod
from whimbrel.edge.shell.poll import Poll
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import MalformedPosition
from whimbrel.protocol.positions import encode_cursor

# To be asked about every time: a browser sends the ETag by itself. Not by token: a new one must not lose the position.
HEADERS: Final[Mapping[str, str]] = {"cache-control": "private, no-cache", "vary": "Origin"}


class IntervalPoll(Poll):
    """One poll whose positions are a cursor, which is its answer's ETag."""

    __slots__ = ("_cursor",)

    def __init__(self, pod: Pod, door: Door, request: Request) -> None:
        """Raises Refusal where the request is malformed."""
        ask, self._cursor = read_get(request)
        super().__init__(pod, door, ask)

    def _go_on(self, identity: Identity) -> None:
        self._positions = from_cursor(self._positions, self._cursor.of(identity.user))

    def _tell(self, found: PollAnswer, identity: Identity) -> None:
        try:
            headers = {"etag": f'"{encode_cursor(identity.user, found.positions)}"', **HEADERS}
        except MalformedPosition as error:
            why = f"{error}: use POST /v1/poll"
            self._door.refuse(Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.LIMIT_EXCEEDED, why))
            return
        if found.frames or not self._cursor.tag:  # who says no cursor keeps nothing that could be unchanged
            self._door.reply(HTTPStatus.OK, found.encode(), {"content-type": "application/json", **headers})
        else:
            self._door.reply(HTTPStatus.NOT_MODIFIED, b"", headers)

"""A link: one transport on its way up, or up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from whimbrel.client.events import Transport
from whimbrel.protocol.codes import CloseCode, may_reconnect
from whimbrel.protocol.frames import Disconnect
from whimbrel.protocol.positions import Position

BROKEN: Final = 1006  # RFC 6455 §7.1.5: the connection ended without a close frame
TOKEN_UNAVAILABLE: Final = 3000  # of this client's own, as in that for browsers: the token provider failed


class Stage(Enum):
    """How far a link has come."""

    DIALLING = auto()  # nothing has answered yet
    GREETING = auto()  # it is open; `connect` was sent, or the first poll
    UP = auto()


@dataclass(slots=True)
class Link:
    """``since`` is when the stage began, ``heard`` when the edge last said something (loop seconds)."""

    id: int
    transport: Transport
    since: float
    heard: float = 0.0
    stage: Stage = Stage.DIALLING
    asked: Mapping[str, Position | None] = field(default_factory=dict)  # channels of its `connect`
    leaving: bool = False  # its edge said so
    silence_s: float = float("inf")  # the edge is given up after so long without a frame


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a link ended: a close code, and a sentence.

    ``after_s`` is when the edge wants the client back, None where it did not say. ``unanswered``: it did not open, for
    nothing came back in time. ``refused``: it did not open, but an edge was there and said so. ``reconnect``: whether
    the edge wants the client back, None where it left that to the code. ``shared``: a proxy said it, and the same to
    everybody.
    """

    code: int
    reason: str
    after_s: float | None = None
    unanswered: bool = False
    refused: bool = False
    reconnect: bool | None = None
    shared: bool = False

    @property
    def final(self) -> bool:
        """Whether the client may not come back; the word on this very close goes before the rule for its code."""
        return not (may_reconnect(self.code) if self.reconnect is None else self.reconnect)


def loss_of_problem(status: int, code: int | None, detail: str, after_s: float | None) -> Loss:
    """Return the loss that an HTTP answer other than 200 stands for.

    ``code`` is the one in the problem body: a close code or an error code of the contract; None where there was none.
    """
    if code is not None and code >= CloseCode.DRAINING:
        return Loss(code, detail, after_s, refused=True)
    by_status = {
        400: CloseCode.PROTOCOL_ERROR,
        401: CloseCode.TOKEN_EXPIRED if code == 110 else CloseCode.UNAUTHORIZED,
        403: CloseCode.FORBIDDEN,
        413: CloseCode.FRAME_TOO_LARGE,
        429: CloseCode.RATE_LIMITED,
        503: CloseCode.OVERLOADED,
    }
    known = code is not None  # a proxy that answers 403 has no say about the user
    if status in by_status and (known or status in (429, 503)):
        return Loss(by_status[status], detail, after_s, refused=True, shared=not known)
    return Loss(BROKEN, detail, after_s, shared=not known)


def loss_of_disconnect(frame: Disconnect) -> Loss:
    """Return the loss that an edge announces."""
    why = frame.reason or frame.slug
    return Loss(frame.code, why, frame.after_ms / 1000, refused=True, reconnect=frame.reconnect)

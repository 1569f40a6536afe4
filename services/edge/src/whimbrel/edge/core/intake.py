"""What a client sends: a sign of life each time, counted against the rates of its terms, then read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from whimbrel.edge.core.effects import Effect, Send
from whimbrel.edge.core.liveness import Liveness, Terms
from whimbrel.edge.core.quotas import BURST_S
from whimbrel.edge.core.rates import pay
from whimbrel.edge.core.replies import error_frame
from whimbrel.edge.core.states import State
from whimbrel.edge.core.tally import Tally
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import FrameTooLarge, MalformedFrame, Refused
from whimbrel.protocol.frames import ClientFrame, Ping, Pong, decode

NOTHING_OWED: Final = 0.0  # one object for all idle sessions
FLOOD_BURSTS: Final = 2.0  # who is that far ahead of the rate has gone on in spite of 109, and is closed


class Intake(Liveness, ABC):
    """The part of a session that hears its client."""

    __slots__ = ("_paid", "state", "tally", "terms")

    def __init__(self, terms: Terms, *, now: float) -> None:
        super().__init__(now=now)
        self.terms = terms
        self.state = State.AWAITING_CONNECT
        self.tally = Tally()
        self._paid = NOTHING_OWED  # when all bytes and frames that came are paid for, by the rates of the terms

    @abstractmethod
    def _on(self, frame: ClientFrame | Refused, *, now: float, wall: float) -> list[Effect]:
        """Do what one frame asks for. Raises Refused."""

    @abstractmethod
    def close(self, code: CloseCode, reason: str, *, after_ms: int = 0) -> list[Effect]:
        """Say `disconnect` and close; nothing is done where the session is closed already."""

    def receive(self, message: bytes, *, now: float, wall: float) -> list[Effect]:
        """Take one message of the client; any message counts as life."""
        self.heard(now=now)
        if self.state is State.CLOSED:
            return []
        try:
            frames = decode(message, limit=self.terms.frame_bytes)
        except FrameTooLarge as error:
            return self.close(CloseCode.FRAME_TOO_LARGE, str(error))
        except MalformedFrame as error:
            return self.close(CloseCode.PROTOCOL_ERROR, str(error))
        self.tally.received += len(frames)
        owed = self._pay(len(frames) / self.terms.frames_per_s, now)
        if owed > BURST_S:
            return self._too_fast(frames, owed)
        return self._take(frames, now=now, wall=wall)

    def answered(self, size: int, *, now: float) -> bool:
        """Take a bare `pong` that came alone, in ``size`` bytes: as ``received`` and ``receive`` do, in a third of the
        time. False where there is more to do than to note it, which they then do; nothing was noted.
        """
        terms = self.terms
        paid = pay(self._paid, size / terms.bytes_per_s + 1.0 / terms.frames_per_s, now=now)
        if paid - now > BURST_S or self.state is State.CLOSED:
            return False
        self._paid = paid
        self.heard(now=now)
        self.tally.received += 1
        return True

    def alive(self, *, now: float) -> list[Effect]:
        """Note a sign of life of the client, a frame of the transport itself."""
        self.heard(now=now)
        owed = self._pay(1.0 / self.terms.frames_per_s, now)
        return self._too_fast((), owed) if owed > BURST_S else []

    def received(self, size: int, *, now: float) -> list[Effect]:
        """Count ``size`` bytes that the client sent, before it is known what they are."""
        owed = self._pay(size / self.terms.bytes_per_s, now)
        return self._too_fast((), owed) if owed > BURST_S else []

    def _pay(self, seconds: float, now: float) -> float:
        """Return how many seconds the client is ahead of its rates; frames and bytes draw on the same time."""
        self._paid = pay(self._paid, seconds, now=now)
        return self._paid - now

    def _too_fast(self, frames: Sequence[ClientFrame | Refused], owed: float) -> list[Effect]:
        why = f"at most {self.terms.frames_per_s:g} frames or {self.terms.bytes_per_s:g} bytes per second"
        if owed > FLOOD_BURSTS * BURST_S:
            return self.close(CloseCode.RATE_LIMITED, why, after_ms=int(owed * 1000))
        refusal = Refused(ErrorCode.RATE_LIMITED, why, retry_ms=int((owed - BURST_S) * 1000) + 1)
        asked = [frame for frame in frames if not isinstance(frame, Ping | Pong)]
        self.tally.rate_limited += len(asked)
        return [Send(error_frame(refusal, _id_of(frame))) for frame in asked]

    def _take(self, frames: Sequence[ClientFrame | Refused], *, now: float, wall: float) -> list[Effect]:
        effects: list[Effect] = []
        for frame in frames:
            if self.state is State.CLOSED:
                break
            try:
                effects += self._on(frame, now=now, wall=wall)
            except Refused as refusal:
                self.tally.rate_limited += refusal.code is ErrorCode.RATE_LIMITED
                effects.append(Send(error_frame(refusal, _id_of(frame))))
        return effects


def _id_of(frame: ClientFrame | Refused) -> int | None:
    return frame.frame_id if isinstance(frame, Refused) else getattr(frame, "id", None)

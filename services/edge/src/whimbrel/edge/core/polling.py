"""What a poll answers: the same frames as a socket gets, and the positions to send with the next poll."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.replies import subscribed_frames
from whimbrel.edge.core.subscription import NotOpened, Opened, frame_of
from whimbrel.protocol.channels import INBOX
from whimbrel.protocol.positions import Position

# An ephemeral channel has no positions; this one says that the client knows it is open, and may wait for what comes.
EPHEMERAL: Final = Position(epoch="ephemeral", offset=0)


class Ask:
    """What a poll asks for, never changed. Polls with the same body may share one: it stands for all of them.

    ``names`` and ``positions`` are those of ``channels`` in order. ``personal``: it means another channel for another
    user.
    """

    __slots__ = ("channels", "limit", "names", "personal", "positions", "wait")

    def __init__(self, channels: Mapping[str, Position | None], wait: float, limit: int) -> None:
        self.channels = channels
        self.wait = wait
        self.limit = limit
        self.names = tuple(channels)
        self.positions = tuple(channels.values())
        self.personal = INBOX in channels


def at_head(live: LiveChannel, position: Position) -> bool:
    """Tell whether a client at ``position`` has everything that was published in ``live``."""
    if not live.opened:
        return False
    if live.ring is None:
        return position == EPHEMERAL
    return position.offset == live.ring.head and position.epoch == live.epoch


@dataclass(slots=True)
class PollAnswer:
    """``frames`` as JSON, ``positions`` by the client's names: where it will stand after it has applied them."""

    frames: list[bytes] = field(default_factory=list)
    positions: dict[str, Position | None] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the JSON body."""
        channels = [
            b'"%b":null' % name.encode() if at is None else _at(name, at.epoch, at.offset)
            for name, at in self.positions.items()
        ]
        return _body(self.frames, channels)


def _at(name: str, epoch: str, offset: int) -> bytes:
    return b'"%b":{"epoch":"%b","offset":%d}' % (name.encode(), epoch.encode(), offset)


def _body(frames: Sequence[bytes], channels: Sequence[bytes]) -> bytes:
    return b'{"frames":[%b],"channels":{%b}}' % (b",".join(frames), b",".join(channels))


def news(ask: Ask, lives: Sequence[LiveChannel], heard: Sequence[bytes]) -> bytes | None:
    """Return the answer to a poll that was at the heads of ``lives``, its channels in order, and ``heard`` these frames
    of ephemeral ones; empty where there is nothing new, None where more than the rings must be asked.
    """
    left = ask.limit - len(heard)
    frames: list[bytes] = []
    channels: list[bytes] = []
    for (name, position), live in zip(ask.channels.items(), lives, strict=True):
        if live.ring is None:
            channels.append(_at(name, EPHEMERAL.epoch, EPHEMERAL.offset))
            continue
        if position is None or position.epoch != live.epoch or live.gone:
            return None
        run = live.ring.since(position.offset)
        if run is None or len(run) > left:
            return None
        if run:
            left -= len(run)
            frames.append(run.frames(live.name))
        channels.append(_at(name, live.epoch, live.ring.head))
    frames += heard
    return _body(frames, channels) if frames else b""


def answer_poll(results: Sequence[tuple[Wanted, Opened | NotOpened]], *, limit: int) -> PollAnswer:
    """Answer a poll: at most ``limit`` publications over all channels; the rest waits for the next poll."""
    answer = PollAnswer()
    for wanted, result in results:
        if isinstance(result, NotOpened):
            answer.frames += subscribed_frames(wanted.name, result, None)
        elif not result.durable:
            if wanted.position != EPHEMERAL:
                answer.frames += subscribed_frames(wanted.name, result, None)
            answer.positions[wanted.name] = EPHEMERAL
        else:
            limit = _durable(answer, wanted, result, limit)
    return answer


def _durable(answer: PollAnswer, wanted: Wanted, result: Opened, limit: int) -> int:
    if wanted.position is None or not result.recovered:
        bare = Opened(result.epoch, result.offset, result.recovered)
        answer.frames += subscribed_frames(wanted.name, bare, None)
    given = result.publications[:limit]
    name = wanted.name.encode()
    answer.frames += [frame_of(name, each) for each in given]
    answer.positions[wanted.name] = Position(epoch=result.epoch, offset=given[-1].offset if given else result.offset)
    return limit - len(given)

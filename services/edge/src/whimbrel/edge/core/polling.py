"""What a poll answers: the same frames as a socket gets, and the positions to send with the next poll."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from whimbrel.edge.core.effects import Wanted
from whimbrel.edge.core.replies import subscribed_frames
from whimbrel.edge.core.subscription import NotOpened, Opened
from whimbrel.protocol.positions import Position
from whimbrel.protocol.publications import publication_frame

# An ephemeral channel has no positions; this one says that the client knows it is open, and may wait for what comes.
EPHEMERAL: Final = Position(epoch="ephemeral", offset=0)


@dataclass(slots=True)
class PollAnswer:
    """``frames`` as JSON, ``positions`` by the client's names: where it will stand after it has applied them."""

    frames: list[bytes] = field(default_factory=list)
    positions: dict[str, Position | None] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the JSON body."""
        channels = b",".join(
            b'"%b":null' % name.encode()
            if at is None
            else b'"%b":{"epoch":"%b","offset":%d}' % (name.encode(), at.epoch.encode(), at.offset)
            for name, at in self.positions.items()
        )
        return b'{"frames":[%b],"channels":{%b}}' % (b",".join(self.frames), channels)


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
    answer.frames += [publication_frame(name, each.body, each.offset, each.prev, each.trace) for each in given]
    answer.positions[wanted.name] = Position(epoch=result.epoch, offset=given[-1].offset if given else result.offset)
    return limit - len(given)

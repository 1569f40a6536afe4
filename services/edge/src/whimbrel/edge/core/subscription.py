"""What a client is told when a channel opens."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from whimbrel.edge.core.ring import Run, Stored
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.publications import nested_publication, position_frame, publication_frame

INLINE_BYTES: Final = 512 * 1024  # publications inside one frame; many clients refuse messages over 1 MiB
PART_BYTES: Final = 32 * 1024  # of a catch-up: of what is written so, one part at most stays in our memory
MESSAGE_BYTES: Final = 256 * 1024  # joined frames behind it


class Opened(NamedTuple):
    """A channel is open for a session. ``epoch`` is empty in an ephemeral channel; ``recovered`` None where no
    position was given.
    """

    epoch: str
    offset: int
    recovered: bool | None = None
    publications: Sequence[Stored] = ()

    @property
    def durable(self) -> bool:
        """Whether the channel has positions."""
        return bool(self.epoch)

    @property
    def end(self) -> int:
        """The position of a client that has applied all publications."""
        return self.publications[-1].offset if self.publications else self.offset


@dataclass(frozen=True, slots=True)
class NotOpened:
    """A channel was refused, and what the client is told."""

    code: ErrorCode
    message: str


@dataclass(slots=True)
class Budget:
    """Bytes of publications that still fit into the frame in the making."""

    left: int = INLINE_BYTES


def encode_subscription(result: Opened | NotOpened, budget: Budget) -> tuple[bytes, Sequence[Stored]]:
    """Return the JSON members of a subscription (without braces), and the publications that did not fit and follow
    the frame.
    """
    if isinstance(result, NotOpened):
        error = {"code": int(result.code), "slug": result.code.slug, "message": result.message}
        return b'"error":' + json.dumps(error, ensure_ascii=False, separators=(",", ":")).encode(), ()
    if not result.epoch:
        return b'"publications":[]', ()
    inside, rest = _shown(budget, result.publications) if result.publications else (b"", ())
    recovered = b"" if result.recovered is None else b'"recovered":true,' if result.recovered else b'"recovered":false,'
    members = b'"epoch":"%b","offset":%d,%b"publications":[%b]' % (
        result.epoch.encode(),
        result.offset,
        recovered,
        inside,
    )
    return members, rest


def _shown(budget: Budget, publications: Sequence[Stored]) -> tuple[bytes, Sequence[Stored]]:
    """Return as many of ``publications`` as fit, encoded, and the rest."""
    if publications[-1].body:
        return _within(budget, publications)
    inside, rest = _within(budget, publications[:-1])  # that the last one may not be seen only its own frame can say
    return inside, (*rest, publications[-1])


def _within(budget: Budget, publications: Sequence[Stored]) -> tuple[bytes, Sequence[Stored]]:
    """Return as many of ``publications`` as fit, encoded, and the rest."""
    whole = (publications if isinstance(publications, Run) else Run(publications)).nested()
    if len(whole) <= budget.left:
        budget.left -= len(whole)
        return whole, ()
    inside = []
    for publication in publications:
        encoded = nested_publication(publication.body, publication.offset, publication.prev)
        if len(encoded) > budget.left:
            break
        budget.left -= len(encoded)
        inside.append(encoded)
    budget.left = 0  # what follows must not overtake it
    return b",".join(inside), publications[len(inside) :]


class Joined(bytes):
    """A message of several ``frames``, for a transport that writes them one by one."""

    frames: Sequence[bytes]


def frame_of(name: bytes, stored: Stored) -> bytes:
    """Return the frame that tells of ``stored``: a `position` frame where it is not to be shown."""
    if not stored.body:
        return position_frame(name, stored.offset, stored.prev)
    return publication_frame(name, stored.body, stored.offset, stored.prev, stored.trace)


def publication_frames(name: bytes, publications: Sequence[Stored]) -> list[bytes]:
    """Return the frames that tell of ``publications`` of a durable channel, joined into messages of about 256 KiB."""
    frames = [frame_of(name, each) for each in publications]
    messages: list[bytes] = []
    for group in _grouped(frames):
        message = Joined(_joined(group))
        message.frames = group
        messages.append(message)
    return messages


def in_parts(publications: Sequence[Stored]) -> list[Sequence[Stored]]:
    """Cut ``publications`` into parts of about 32 KiB, at least one."""
    parts: list[Sequence[Stored]] = []
    begin = size = 0
    for at, each in enumerate(publications):
        if at > begin and size + len(each.body) > PART_BYTES:
            parts.append(publications[begin:at])
            begin, size = at, 0
        size += len(each.body)
    return [*parts, publications[begin:]]


def join(frames: Sequence[bytes]) -> list[bytes]:
    """Join frames into as few messages as keep below 256 KiB each: an object, or an array of objects."""
    return [_joined(group) for group in _grouped(frames)]


def _grouped(frames: Sequence[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for frame in frames:
        if group and size + len(frame) > MESSAGE_BYTES:
            yield group
            group, size = [], 0
        group.append(frame)
        size += len(frame)
    if group:
        yield group


def _joined(frames: Sequence[bytes]) -> bytes:
    return frames[0] if len(frames) == 1 else b"[%b]" % b",".join(frames)

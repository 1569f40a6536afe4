"""Positions and cursors: where a subscriber stopped."""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.protocol.channels import CHANNEL_PATTERN
from whimbrel.protocol.errors import MalformedPosition
from whimbrel.protocol.limits import MAX_CHANNELS, MAX_CURSOR_BYTES, MAX_EPOCH_CHARS, MAX_OFFSET

Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET, strict=True)]
Epoch = Annotated[str, Field(min_length=1, max_length=MAX_EPOCH_CHARS, pattern=r"^[!-~]+$")]
ChannelText = Annotated[str, Field(pattern=CHANNEL_PATTERN, description="`inbox`, or `namespace:name`.")]


class Position(BaseModel):
    """Where a subscriber stopped in one channel."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    epoch: Epoch
    """Changes when the channel's history was lost or rebuilt."""
    offset: Offset
    """Grows within an epoch, with holes."""


_VERSION: Final = "2"
_TAG_BYTES: Final = 6  # 8 characters: that two users of one browser share them does not happen
_PART: Final = re.compile(rf"({CHANNEL_PATTERN[2:-2]})(?:/([0-9]{{1,16}})/([!-~]*))?")


class Cursor(NamedTuple):
    """What a cursor says. ``tag`` tells whose it is."""

    tag: str
    positions: dict[str, Position | None]

    def of(self, user: str) -> dict[str, Position | None]:
        """Return the positions for ``user``: in somebody else's cursor they mean nothing, and `inbox` another channel.

        A browser keeps an ETag for whoever uses the page next.
        """
        return self.positions if self.tag == _tag(user) else dict.fromkeys(self.positions)


def encode_cursor(user: str, positions: Mapping[str, Position | None]) -> str:
    """Return the opaque text of ``positions`` (by channel), fit for an ETag, a Last-Event-ID and a query string.

    Raises MalformedPosition where it would exceed 4 KiB: such a client uses ``POST /v1/poll``.
    """
    text = join_cursor(cursor_head(user), [cursor_part(name, at) for name, at in positions.items()])
    if text is None:
        raise MalformedPosition(f"a cursor over {len(positions)} channels does not fit in {MAX_CURSOR_BYTES} bytes")
    return text.decode()


def cursor_head(user: str) -> bytes:
    """Return what the cursors of ``user`` begin with."""
    return f"{_VERSION}.{_tag(user)}".encode()


def cursor_part(channel: str, position: Position | None) -> bytes:
    """Return what a cursor says of one channel; the whole is the head and the parts, joined by dots."""
    return _to_text(channel if position is None else f"{channel}/{position.offset}/{position.epoch}")


def join_cursor(head: bytes, parts: Collection[bytes], *, room: int = 0) -> bytes | None:
    """Return the cursor of ``parts``, None where it would leave less than ``room`` of its 4 KiB.

    Where space is short, an epoch that is that of the part before is left out: channels of one partition share it.
    """
    text = b".".join((head, *parts))
    if len(text) + room > MAX_CURSOR_BYTES:
        text = b".".join((head, *_without_repeated_epochs(parts)))
    return text if len(text) + room <= MAX_CURSOR_BYTES else None


def _without_repeated_epochs(parts: Iterable[bytes]) -> Iterator[bytes]:
    split = (_from_text(part).split("/", 2) for part in parts)
    before = ""
    for epoch, rest in sorted((each[2] if each[1:] else "", each[:2]) for each in split):
        yield _to_text("/".join((*rest, "" if epoch == before else epoch) if rest[1:] else rest))
        before = epoch


def decode_cursor(text: str) -> Cursor:
    """Read a cursor, bare or quoted as an ETag (``"…"`` or ``W/"…"``).

    Raises MalformedPosition for anything else.
    """
    bare = text.removeprefix("W/").strip('"')
    if len(bare) > MAX_CURSOR_BYTES:
        raise MalformedPosition(f"the cursor is longer than {MAX_CURSOR_BYTES} bytes")
    version, _, rest = bare.partition(".")
    tag, *parts = rest.split(".")
    if version != _VERSION or not tag:
        raise MalformedPosition("the cursor is not one of this version; start without a cursor")
    if len(parts) > MAX_CHANNELS:
        raise MalformedPosition(f"the cursor names more than {MAX_CHANNELS} channels")
    positions: dict[str, Position | None] = {}
    epoch = ""
    try:
        for part in parts:
            match = _PART.fullmatch(_from_text(part.encode("ascii")))
            if match is None:
                raise ValueError(f"{part!r} is no part of a cursor")
            channel, offset = match[1], match[2]
            epoch = match[3] or epoch
            positions[channel] = None if offset is None else Position(epoch=epoch, offset=int(offset))
    except ValueError as error:  # also pydantic's, and those of base64 and Unicode
        raise MalformedPosition("the cursor cannot be read; start without one") from error
    return Cursor(tag, positions)


def _to_text(raw: str) -> bytes:
    return base64.urlsafe_b64encode(raw.encode()).rstrip(b"=")


def _from_text(part: bytes) -> str:
    return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True).decode("ascii")


def _tag(user: str) -> str:
    digest = hashlib.sha256(user.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:_TAG_BYTES]).decode()

"""Positions and cursors: where a subscriber stopped."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Final

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

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


_CURSOR: Final = TypeAdapter(dict[ChannelText, tuple[Epoch, Offset] | None])
_VERSION: Final = b"1"


def encode_cursor(positions: Mapping[str, Position | None]) -> str:
    """Return the opaque text of ``positions`` (by channel), fit for an ETag, a Last-Event-ID and a query string.

    Raises MalformedPosition where it would exceed 4 KiB: such a client uses ``POST /v1/poll``.
    """
    plain = {channel: position and (position.epoch, position.offset) for channel, position in positions.items()}
    text = base64.urlsafe_b64encode(_VERSION + pydantic_core.to_json(plain)).rstrip(b"=").decode()
    if len(text) > MAX_CURSOR_BYTES:
        raise MalformedPosition(f"a cursor over {len(positions)} channels does not fit in {MAX_CURSOR_BYTES} bytes")
    return text


def decode_cursor(text: str) -> dict[str, Position | None]:
    """Read a cursor, bare or quoted as an ETag (``"…"`` or ``W/"…"``).

    Raises MalformedPosition for anything else.
    """
    bare = text.removeprefix("W/").strip('"')
    if len(bare) > MAX_CURSOR_BYTES:
        raise MalformedPosition(f"the cursor is longer than {MAX_CURSOR_BYTES} bytes")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
        if raw[:1] != _VERSION:
            raise MalformedPosition("the cursor is not one of this version; start without a cursor")
        plain = _CURSOR.validate_json(raw[1:])
    except (binascii.Error, ValidationError, ValueError) as error:
        raise MalformedPosition("the cursor cannot be read; start without one") from error
    if len(plain) > MAX_CHANNELS:
        raise MalformedPosition(f"the cursor names more than {MAX_CHANNELS} channels")
    return {
        channel: None if position is None else Position(epoch=position[0], offset=position[1])
        for channel, position in plain.items()
    }

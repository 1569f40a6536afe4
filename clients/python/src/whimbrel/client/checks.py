"""Mistakes of whoever calls the client, named where they are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from pydantic import ValidationError

from whimbrel.client.core.transports import Preference
from whimbrel.client.errors import Misuse
from whimbrel.protocol.channels import INBOX, Channel
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.frames import Connect
from whimbrel.protocol.limits import HISTORY_LIMIT
from whimbrel.protocol.positions import Position


def check_client(token: object, transport: str, device: str | None) -> None:
    """Refuse what no client can be made of.

    Raises Misuse.
    """
    if transport not in get_args(Preference):
        raise Misuse(f"transport={transport!r} does not exist: use {', '.join(get_args(Preference))}")
    if not callable(token) and not (isinstance(token, str) and token):
        shown = f"<{type(token).__name__}>" if token else repr(token)  # never the token itself: this may be logged
        raise Misuse(f"token={shown} is none: give a text, or a function that returns one and is asked again")
    with lawful():
        Connect(id=1, device=device, channels={})


def check_begin(position: object, last: int | None, capacity: int) -> None:
    """Refuse a subscription that cannot begin.

    Raises Misuse.
    """
    if position is not None and last is not None:
        raise Misuse("`position` and `last` are two answers to one question: give one of them")
    if position is not None and not isinstance(position, Position):
        raise Misuse(f"position={position!r} is none: keep that of a subscription, or Position.model_validate_json(…)")
    if last is not None and not 0 <= last <= HISTORY_LIMIT:
        raise Misuse(f"last={last} is not within 0 and {HISTORY_LIMIT}")
    if capacity < 1:
        raise Misuse(f"capacity={capacity} leaves no room for a publication")


def check_channel(channel: str) -> None:
    """Refuse what names no channel.

    Raises Misuse.
    """
    if not isinstance(channel, str):
        raise Misuse(f"{channel!r} is not a channel: write namespace:name, or inbox")
    if channel != INBOX:
        try:
            Channel.parse(channel)
        except MalformedChannel as error:
            raise Misuse(str(error)) from None


@contextmanager
def lawful() -> Iterator[None]:
    """Make a Misuse of one line where a frame is made of what the contract does not allow."""
    try:
        yield
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, each['loc']))}={each['input']!r:.80}: {each['msg']}" for each in error.errors())
        raise Misuse("; ".join(faults)) from None

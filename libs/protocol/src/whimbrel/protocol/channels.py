"""Channels: the grammar that keeps user text out of NATS subjects.

``namespace:name``. This module is a security boundary: a text becomes part of a subject only after ``Channel.parse`` or
``inbox_of`` has let it through, and neither lets a dot, a blank, ``*`` or ``>`` pass.
"""

import hashlib
import re
from functools import lru_cache
from typing import Final, NamedTuple, Self

from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import MalformedChannel
from whimbrel.protocol.limits import MAX_NAME_CHARS

NAMESPACE_PATTERN: Final = r"[a-z][a-z0-9-]{0,31}"
NAME_PATTERN: Final = r"[A-Za-z0-9_\-:=@~]{1,128}"
CHANNEL_PATTERN: Final = rf"^(inbox|{NAMESPACE_PATTERN}:{NAME_PATTERN})$"
GRANT_PATTERN: Final = rf"^(\*|inbox|{NAMESPACE_PATTERN}:(\*|[A-Za-z0-9_\-:=@~]{{1,127}}\*?|{NAME_PATTERN}))$"

INBOX: Final = "inbox"  # the caller's own durable channel, as clients name it
USER_NAMESPACE: Final = "user"  # what INBOX stands for on the server: user:<sub>
GROUP_NAMESPACE: Final = "group"
ROUTER_NAMESPACES: Final = frozenset({USER_NAMESPACE, GROUP_NAMESPACE})  # no client publishes here, by no grant

_CHANNEL: Final = re.compile(rf"({NAMESPACE_PATTERN}):({NAME_PATTERN})")
_NAME: Final = re.compile(NAME_PATTERN)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_\-:@~]{1,128}")  # '=' is left out: it starts an escape
_HASHED: Final = "=="  # cannot begin an escaped text: an escape is '=' and two hex digits


class Channel(NamedTuple):
    """A channel that passed the grammar; ``str(channel)`` is what clients and logs see."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``namespace:name``.

        Raises MalformedChannel for anything outside the grammar, `inbox` included: it has no meaning without a user.
        """
        match = _CHANNEL.fullmatch(text)
        if match is None:
            raise MalformedChannel(
                f"{text[:80]!r} is not a channel: write namespace:name, the namespace in a-z 0-9 -, "
                "the name in at most 128 of A-Z a-z 0-9 _ - : = @ ~"
            )
        return cls(*match.groups())

    def __str__(self) -> str:
        return f"{self.namespace}:{self.name}"


def channel_for(text: str, user: str) -> Channel:
    """Return the channel that ``text`` names for ``user``; `inbox` is the user's own.

    Raises MalformedChannel.
    """
    return inbox_of(user) if text == INBOX else _channel(text)


@lru_cache(maxsize=65_536)
def _channel(text: str) -> Channel:
    # Remembered by name alone: one object for all who subscribe, where one per user was 300 bytes of each connection.
    return Channel.parse(text)


def refusal_of(text: str) -> ErrorCode:
    """Return the error code that ``text``, which is not a channel, earns in a request.

    A name that begins with ``$`` is well formed but does not exist, in any namespace; all else is a bad request.
    """
    reserved = text.startswith("$") or text.partition(":")[2].startswith("$")
    return ErrorCode.UNKNOWN_CHANNEL if reserved else ErrorCode.BAD_REQUEST


def inbox_of(user: str) -> Channel:
    """Return the inbox channel of ``user`` (any text: a `sub` claim is the issuer's choice)."""
    return Channel(USER_NAMESPACE, escape_token(user))


def group_channel(group: str) -> Channel:
    """Return the channel of ``group``."""
    return Channel(GROUP_NAMESPACE, escape_token(group))


def shown_to(channel: Channel, user: str) -> str:
    """Return the name under which ``user`` sees ``channel``: `inbox` for the own inbox, itself otherwise."""
    return INBOX if channel == inbox_of(user) else str(channel)


def escape_token(text: str) -> str:
    """Return ``text`` as one subject token of at most 128 characters, distinct for distinct texts.

    Bytes outside the grammar, and '=' itself, become '=' and two hex digits; what would be too long becomes '==' and
    a SHA-256.
    """
    if _PLAIN.fullmatch(text):
        return text
    escaped = "".join(
        char if _PLAIN.fullmatch(char) else "".join(f"={byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in text
    )
    if 0 < len(escaped) <= MAX_NAME_CHARS:
        return escaped
    return _HASHED + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def grant_covers(pattern: str, channel: Channel) -> bool:
    """Tell whether a grant's channel ``pattern`` (exact, or a prefix followed by '*') covers ``channel``."""
    text = str(channel)
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern

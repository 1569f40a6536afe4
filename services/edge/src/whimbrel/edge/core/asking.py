"""Which channels an HTTP request asks for, and from where."""

from collections.abc import Mapping
from typing import Final

from whimbrel.protocol.channels import GROUP_NAMESPACE, INBOX
from whimbrel.protocol.limits import MAX_CHANNELS
from whimbrel.protocol.positions import Position

_GROUPS: Final = f"{GROUP_NAMESPACE}:"


def from_cursor(
    named: Mapping[str, Position | None], cursor: Mapping[str, Position | None]
) -> dict[str, Position | None]:
    """Return the channels with the position to go on from, None for one to begin with.

    ``named`` are those that the request names, with positions of its own where it has some. Where it names none, it
    asks for those of the ``cursor``; the router's own channels go on from the cursor whether they are named or not.
    """
    own = {name: at for name, at in cursor.items() if name == INBOX or name.startswith(_GROUPS) or not named}
    asked = {name: at or cursor.get(name) for name, at in named.items()}
    room = MAX_CHANNELS - len(asked)
    return asked | dict([(name, at) for name, at in own.items() if name not in asked][:room])
